using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>
/// Copies to a CUDA device that do not wait for it: values go to page-locked memory first, from which the device fetches them when its turn comes.
/// </summary>
internal sealed class CudaUploads(CudaAccelerator accelerator) : IDisposable
{
    /// <summary>256 MB: three batches of 128 pictures of 224×224.</summary>
    private const long MostFloats = 64 << 20;

    private readonly UploadBlocks<Block> _blocks = new(MostFloats, length => new Block(accelerator, length));

    public void Write(ArrayView<float> target, ReadOnlySpan<float> source)
    {
        for (int first = 0; first < source.Length; first += _blocks.MostOfABlock)
        {
            int length = Math.Min(_blocks.MostOfABlock, source.Length - first);
            var block = _blocks.Take(length);
            source.Slice(first, length).CopyTo(block.Memory.Span);
            target.SubView(first, length).CopyFrom(accelerator.DefaultStream, block.Memory.ArrayView.SubView(0, length));
            block.Event.Record();
        }
    }

    public void Dispose() => _blocks.Dispose();

    private sealed class Block(CudaAccelerator accelerator, int length) : IUploadBlock
    {
        public PageLockedArray1D<float> Memory { get; } = accelerator.AllocatePageLocked1D<float>(Math.Max(length, 1024));

        public CudaEvent Event { get; } = new(accelerator);

        public int Length => (int)Memory.Length;

        public bool IsFree => Event.IsReached;

        public void Wait() => Event.Wait();

        public void Dispose()
        {
            Event.Dispose();
            Memory.Dispose();
        }
    }
}
