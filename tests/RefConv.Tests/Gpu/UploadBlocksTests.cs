using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>Page-locked memory: blocks whose copies are done are used again, and however large the copies are, the bound is kept.</summary>
public sealed class UploadBlocksTests
{
    [Fact]
    public void FreeBlocksAreUsedAgainAndTheBoundIsKept()
    {
        List<Block> made = [];
        using var blocks = new UploadBlocks<Block>(100, length =>
        {
            made.Add(new Block(length));
            return made[^1];
        });
        Assert.Equal(50, blocks.MostOfABlock);
        var first = blocks.Take(30);
        Assert.Same(first, blocks.Take(20)); // no copy is under way
        first.Busy = true;
        var second = blocks.Take(30);
        Assert.NotSame(first, second);
        second.Busy = true;
        var third = blocks.Take(30);
        third.Busy = true;
        Assert.Equal((3, 90L, 0), (made.Count, blocks.Held, made.Sum(b => b.Waits)));
        var fourth = blocks.Take(50); // 140 would be too many: the oldest one is waited for, and its memory given back, then the next
        Assert.Equal((1, 1, 0), (first.Waits, second.Waits, third.Waits));
        Assert.True(first.IsDisposed && second.IsDisposed && !third.IsDisposed);
        Assert.Equal(80, blocks.Held);
        fourth.Busy = true;
        third.Busy = false;
        Assert.Same(third, blocks.Take(10));
        for (int i = 1; i <= 50; i++)
        {
            blocks.Take(i).Busy = true;
            Assert.InRange(blocks.Held, 1, 100);
        }
        blocks.Dispose();
        Assert.All(made, b => Assert.True(b.IsDisposed));
        Assert.Equal(0, blocks.Held);
    }

    private sealed class Block(int length) : IUploadBlock
    {
        public bool Busy { get; set; }

        public int Waits { get; private set; }

        public bool IsDisposed { get; private set; }

        public int Length => length;

        public bool IsFree => !Busy;

        public void Wait()
        {
            Waits++;
            Busy = false;
        }

        public void Dispose()
        {
            Assert.False(Busy || IsDisposed);
            IsDisposed = true;
        }
    }
}
