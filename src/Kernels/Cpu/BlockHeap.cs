using System.Diagnostics;
using System.Numerics;

namespace RefConv.Kernels;

/// <summary>A run of memory taken from the system in one piece. What it is (an address, a device's buffer) a derived class knows.</summary>
internal abstract class MemorySegment(BlockHeap heap, long bytes)
{
    public BlockHeap Heap { get; } = heap;

    public long Bytes { get; } = bytes;

    /// <summary>Everything behind this was never lent. Where systems hand out pages when they are first touched, it costs nothing.</summary>
    public long Touched { get; set; }
}

/// <summary>A part of a segment, lent or free. Blocks of a segment follow one another without gaps, and no two free ones are neighbours.</summary>
internal sealed class MemoryBlock
{
    public MemorySegment Segment { get; set; } = null!;

    public long Offset { get; set; }

    public long Bytes { get; set; }

    public bool IsFree { get; set; }

    /// <summary>The neighbours in the segment.</summary>
    public MemoryBlock? Before { get; set; }

    /// <inheritdoc cref="Before"/>
    public MemoryBlock? After { get; set; }

    /// <summary>The neighbours among the free blocks of about this size.</summary>
    public MemoryBlock? Next { get; set; }

    /// <inheritdoc cref="Next"/>
    public MemoryBlock? Previous { get; set; }
}

/// <summary>
/// Which part of which segment is lent: best fit. A request gets the smallest free block that is large enough, what is left of it stays free, and a block that comes back
/// joins its free neighbours. The bookkeeping alone: no memory is touched, and nothing is locked.
/// </summary>
/// <remarks>
/// First fit was tried on recorded training steps and is far worse (MobileNetV1 at 224×224: 901 MB where 680 are lent; best fit 688): it cuts the largest blocks for the
/// smallest requests. Own lists of own objects: a collection of pairs or of numbers would be one more instantiation to compile at every start of every process.
/// </remarks>
internal sealed class BlockHeap
{
    /// <summary>Blocks begin at, and are, multiples of a cache line.</summary>
    public const int Line = 64;

    private const int BinsAnOctave = 8;

    private readonly List<MemorySegment> _segments = [];
    private readonly MemoryBlock?[] _bins = new MemoryBlock?[7 * 64]; // free blocks by size, eight bins between powers of two
    private readonly ulong[] _occupied = new ulong[7]; // bit i: bin i has blocks
    private MemoryBlock? _spare; // objects for blocks to come

    /// <summary>Bytes of all segments that were lent at least once.</summary>
    public long TouchedBytes { get; private set; }

    /// <summary>The segments; none of them is empty of blocks.</summary>
    public IReadOnlyList<MemorySegment> Segments => _segments;

    /// <summary>Lends a block of at least so many bytes, a multiple of a line; null if no free one is large enough.</summary>
    public MemoryBlock? TryRent(long bytes)
    {
        Debug.Assert(bytes > 0 && bytes % Line == 0, "whole lines");
        if (BestFit(bytes) is not { } block) return null;
        Unlist(block);
        if (block.Bytes > bytes) Split(block, bytes);
        long end = block.Offset + block.Bytes, more = end - block.Segment.Touched;
        if (more > 0)
        {
            block.Segment.Touched = end;
            TouchedBytes += more;
        }
        return block;
    }

    public void Return(MemoryBlock block)
    {
        Debug.Assert(!block.IsFree, "a block comes back once");
        if (block.After is { IsFree: true } after)
        {
            Unlist(after);
            Join(block, after);
        }
        if (block.Before is { IsFree: true } before)
        {
            Unlist(before);
            Join(before, block);
            block = before;
        }
        List(block);
    }

    /// <summary>Adds memory: one free block.</summary>
    public void Add(MemorySegment segment)
    {
        _segments.Add(segment);
        List(NewBlock(segment, 0, segment.Bytes));
    }

    /// <summary>Takes a segment out of which nothing is lent, for the caller to give back; null if there is none.</summary>
    public MemorySegment? TakeFreeSegment()
    {
        for (int bin = NextOccupied(0); bin >= 0; bin = NextOccupied(bin + 1))
        {
            for (var block = _bins[bin]; block != null; block = block.Next)
            {
                if (block.Bytes != block.Segment.Bytes) continue;
                var segment = block.Segment;
                Unlist(block);
                Spare(block);
                _segments.Remove(segment);
                TouchedBytes -= segment.Touched;
                return segment;
            }
        }
        return null;
    }

    /// <summary>Names every free block that was lent before, whose contents nobody wants. What lies at the end of a segment counts as never lent from then on.</summary>
    public void ForgetFree(Action<MemoryBlock> forget)
    {
        for (int bin = NextOccupied(0); bin >= 0; bin = NextOccupied(bin + 1))
        {
            for (var block = _bins[bin]; block != null; block = block.Next)
            {
                var segment = block.Segment;
                if (block.Offset >= segment.Touched) continue;
                forget(block);
                if (block.After != null) continue;
                TouchedBytes -= segment.Touched - block.Offset;
                segment.Touched = block.Offset;
            }
        }
    }

    /// <summary>The smallest that is large enough; of equals the first in memory, so that the same requests give the same places.</summary>
    private MemoryBlock? BestFit(long bytes)
    {
        for (int bin = NextOccupied(Bin(bytes)); bin >= 0; bin = NextOccupied(bin + 1))
        {
            MemoryBlock? best = null;
            for (var block = _bins[bin]; block != null; block = block.Next)
            {
                if (block.Bytes < bytes || (best != null && !IsBetter(block, best))) continue;
                best = block;
            }
            if (best != null) return best;
        }
        return null;

        static bool IsBetter(MemoryBlock a, MemoryBlock b) => a.Bytes < b.Bytes || (a.Bytes == b.Bytes && a.Segment == b.Segment && a.Offset < b.Offset);
    }

    private void Split(MemoryBlock block, long bytes)
    {
        var rest = NewBlock(block.Segment, block.Offset + bytes, block.Bytes - bytes);
        (rest.Before, rest.After) = (block, block.After);
        if (rest.After is { } after) after.Before = rest;
        (block.After, block.Bytes) = (rest, bytes);
        List(rest);
    }

    /// <summary>Makes one block of two neighbours.</summary>
    private void Join(MemoryBlock first, MemoryBlock second)
    {
        first.Bytes += second.Bytes;
        first.After = second.After;
        if (second.After is { } after) after.Before = first;
        Spare(second);
    }

    private void List(MemoryBlock block)
    {
        int bin = Bin(block.Bytes);
        block.IsFree = true;
        (block.Previous, block.Next) = (null, _bins[bin]);
        if (block.Next is { } next) next.Previous = block;
        _bins[bin] = block;
        _occupied[bin / 64] |= 1UL << (bin % 64);
    }

    private void Unlist(MemoryBlock block)
    {
        int bin = Bin(block.Bytes);
        block.IsFree = false;
        if (block.Next is { } next) next.Previous = block.Previous;
        if (block.Previous is { } previous) previous.Next = block.Next;
        else _bins[bin] = block.Next;
        if (_bins[bin] == null) _occupied[bin / 64] &= ~(1UL << (bin % 64));
        (block.Previous, block.Next) = (null, null);
    }

    private MemoryBlock NewBlock(MemorySegment segment, long offset, long bytes)
    {
        var block = _spare ?? new MemoryBlock();
        _spare = block.Next;
        (block.Segment, block.Offset, block.Bytes, block.Next) = (segment, offset, bytes, null);
        return block;
    }

    private void Spare(MemoryBlock block)
    {
        (block.Segment, block.Before, block.After, block.Previous, block.Next) = (null!, null, null, null, _spare);
        _spare = block;
    }

    private static int Bin(long bytes)
    {
        long lines = bytes / Line;
        if (lines < BinsAnOctave) return (int)lines;
        int octave = BitOperations.Log2((ulong)lines) - 3; // 0 from 8 lines on
        return ((octave + 1) * BinsAnOctave) + (int)((lines >> octave) & (BinsAnOctave - 1));
    }

    /// <summary>The first bin from this one on that has blocks; −1 if there is none.</summary>
    private int NextOccupied(int bin)
    {
        int word = bin / 64;
        if (word >= _occupied.Length) return -1;
        ulong bits = _occupied[word] & (ulong.MaxValue << (bin % 64));
        while (bits == 0)
        {
            if (++word == _occupied.Length) return -1;
            bits = _occupied[word];
        }
        return (word * 64) + BitOperations.TrailingZeroCount(bits);
    }
}
