namespace RefConv.Kernels;

/// <summary>A block of page-locked memory, from which a copy may be under way.</summary>
internal interface IUploadBlock : IDisposable
{
    /// <summary>Floats.</summary>
    int Length { get; }

    /// <summary>No copy is under way.</summary>
    bool IsFree { get; }

    /// <summary>Waits until no copy is under way.</summary>
    void Wait();
}

/// <summary>
/// Page-locked blocks, used again where their copies are done. Such memory is taken from the whole machine, so there is a bound on it: enough for some batches, which the host is then
/// ahead of the device. At the bound the oldest block is waited for.
/// </summary>
/// <param name="mostFloats">Floats in all blocks together, at most.</param>
/// <param name="make">Makes a block of at least so many floats.</param>
internal sealed class UploadBlocks<TBlock>(long mostFloats, Func<int, TBlock> make) : IDisposable where TBlock : class, IUploadBlock
{
    private readonly List<TBlock> _blocks = []; // longest unused first
    private long _floats;

    /// <summary>Floats of a piece: a copy that is larger goes in several, so that one cannot take all there is.</summary>
    public int MostOfABlock => (int)Math.Min(mostFloats / 2, int.MaxValue);

    /// <summary>Floats held.</summary>
    public long Held => _floats;

    /// <summary>A block that can be written to.</summary>
    public TBlock Take(int length)
    {
        var block = _blocks.FirstOrDefault(b => b.Length >= length && b.IsFree);
        if (block != null)
        {
            _blocks.Remove(block);
        }
        else
        {
            while (_blocks.Count > 0 && _floats + length > mostFloats) Drop(_blocks[0]);
            block = make(length);
            _floats += block.Length;
        }
        _blocks.Add(block);
        return block;
    }

    public void Dispose()
    {
        while (_blocks.Count > 0) Drop(_blocks[0]);
    }

    private void Drop(TBlock block)
    {
        block.Wait();
        _blocks.Remove(block);
        _floats -= block.Length;
        block.Dispose();
    }
}
