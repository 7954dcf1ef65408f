using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>The bookkeeping of memory: nothing lent twice, nothing lost, the smallest hole that is large enough.</summary>
public sealed class BlockHeapTests
{
    private const int Line = BlockHeap.Line;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void ARandomTraceIsBestFitWithoutOverlapOrLoss(int seed)
    {
        var random = new RandomStream((ulong)seed, 7);
        var heap = new BlockHeap();
        var segments = new List<Segment>();
        var lent = new List<MemoryBlock>();
        for (int step = 0; step < 4000; step++)
        {
            if (lent.Count > 0 && random.NextUniform(0, 1) < (step / 1000 % 2 == 0 ? 0.4 : 0.6))
            {
                int at = (int)random.NextUniform(0, lent.Count);
                heap.Return(lent[at]);
                lent.RemoveAt(at);
            }
            else
            {
                long bytes = Line * (long)Math.Pow(2, random.NextUniform(0, 10)), smallest = Holes(segments, lent).Where(h => h.Length >= bytes).Select(h => h.Length).DefaultIfEmpty(0).Min();
                var block = heap.TryRent(bytes);
                Assert.Equal(smallest == 0, block == null);
                if (block == null)
                {
                    segments.Add(new Segment(heap, Line * 2000));
                    heap.Add(segments[^1]);
                    smallest = segments[^1].Bytes;
                    block = heap.TryRent(bytes)!;
                }
                Assert.Equal(bytes, block.Bytes);
                Assert.Contains(Holes(segments, lent), h => h.Segment == block.Segment && h.Length == smallest && h.Offset == block.Offset);
                lent.Add(block);
            }
        }
        Assert.True(segments.Count > 1 && lent.Count > 10, "the trace fills more than one segment");
        foreach (var block in lent) heap.Return(block);
        // All has come back: every segment is one block again.
        foreach (var segment in segments) Assert.Equal(segment.Bytes, heap.TryRent(segment.Bytes)!.Bytes);
        Assert.Null(heap.TryRent(Line));
    }

    [Fact]
    public void AFreeSegmentIsTakenOutAndOneInUseIsNot()
    {
        var heap = new BlockHeap();
        var first = new Segment(heap, Line * 10);
        heap.Add(first);
        var block = heap.TryRent(Line * 8)!;
        var second = new Segment(heap, Line * 20);
        heap.Add(second);
        Assert.Equal(Line * 8, heap.TouchedBytes);
        heap.Return(heap.TryRent(Line * 15)!);
        Assert.Equal(Line * 23, heap.TouchedBytes);
        Assert.Same(second, heap.TakeFreeSegment());
        Assert.Null(heap.TakeFreeSegment());
        Assert.Equal(Line * 8, heap.TouchedBytes);
        heap.Return(block);
        Assert.Same(first, heap.TakeFreeSegment());
        Assert.Equal(0, heap.TouchedBytes);
        Assert.Null(heap.TryRent(Line));
    }

    [Fact]
    public void WhatWasLentOnceIsLentAgainBeforeWhatNeverWas()
    {
        // The untouched end of a segment is the largest hole: as long as something smaller fits, the process does not grow.
        var heap = new BlockHeap();
        heap.Add(new Segment(heap, Line * 1_000_000));
        for (int i = 0; i < 100; i++)
        {
            var (a, b, c) = (heap.TryRent(Line * 300)!, heap.TryRent(Line * 200)!, heap.TryRent(Line * 100)!);
            heap.Return(a);
            heap.Return(c);
            heap.Return(b);
        }
        Assert.Equal(Line * 600, heap.TouchedBytes);
    }

    /// <summary>What is not lent, found anew from what is, which also shows that nothing overlaps.</summary>
    private static List<(MemorySegment Segment, long Offset, long Length)> Holes(List<Segment> segments, List<MemoryBlock> lent)
    {
        var holes = new List<(MemorySegment, long, long)>();
        foreach (var segment in segments)
        {
            long end = 0;
            foreach (var block in lent.Where(b => b.Segment == segment).OrderBy(b => b.Offset))
            {
                Assert.True(block.Offset >= end && !block.IsFree, $"the block at {block.Offset} begins before {end}, where the one before it ends");
                if (block.Offset > end) holes.Add((segment, end, block.Offset - end));
                end = block.Offset + block.Bytes;
            }
            Assert.True(end <= segment.Bytes);
            if (end < segment.Bytes) holes.Add((segment, end, segment.Bytes - end));
        }
        return holes;
    }

    private sealed class Segment(BlockHeap heap, long bytes) : MemorySegment(heap, bytes);
}
