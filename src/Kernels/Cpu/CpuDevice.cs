using System.Diagnostics;

namespace RefConv.Kernels;

/// <summary>The processor: 32-bit floats, SIMD at the widest level present, all cores. Needs no native library.</summary>
public sealed unsafe partial class CpuDevice : Device
{
    private readonly MemoryPool _memory = new();
    private readonly WorkerPool _workers;

    /// <summary>Makes a device.</summary>
    /// <param name="threads">Threads its kernels use, the caller's included; 0 for all cores.</param>
    /// <exception cref="ArgumentOutOfRangeException">Negative, or more than 1024.</exception>
    public CpuDevice(int threads = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        Threads = threads == 0 ? Environment.ProcessorCount : threads;
        _workers = WorkerPool.Get(Threads);
        Kernels = new CpuKernels(this);
    }

    /// <inheritdoc/>
    public override string Name => "cpu";

    /// <inheritdoc/>
    public override string Description => $"{Threads} thread{(Threads == 1 ? "" : "s")}, {Simd.LevelName}, float32{(ConvolutionAccuracy == Conv2dAccuracy.Fast ? ", fast convolutions" : "")}";

    /// <inheritdoc/>
    public override int Threads { get; }

    /// <summary>
    /// Whether convolutions, in all three directions, may round more for speed. <see cref="Conv2dAccuracy.Exact"/> unless set.
    /// </summary>
    public Conv2dAccuracy ConvolutionAccuracy { get; set; }

    /// <inheritdoc/>
    public override void CompileAhead() => RefConv.Kernels.CompileAhead.Start();

    /// <inheritdoc/>
    public override IKernels Kernels { get; }

    /// <inheritdoc/>
    public override MemoryStatistics Memory => _memory.Statistics;

    /// <inheritdoc/>
    internal override bool CanReadStrided(in Conv2dGeometry g) => CpuKernels.ReadsStrided(g);

    /// <inheritdoc/>
    public override DeviceBuffer Rent(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (length > MemoryPool.MostBytes / sizeof(float)) throw new OutOfMemoryException($"A buffer of {length} elements is more than any machine holds.");
        var buffer = new CpuBuffer(this, _memory, length);
        if (PoisonBuffers) new CpuSpan(buffer.View).Fill(float.NaN);
        return buffer;
    }

    /// <inheritdoc/>
    public override void Write(BufferView destination, ReadOnlySpan<float> source)
    {
        CheckLength(destination, source.Length);
        source.CopyTo(new Span<float>(Pointer(destination), source.Length));
    }

    /// <inheritdoc/>
    public override void Write(BufferView destination, ReadOnlySpan<double> source)
    {
        CheckLength(destination, source.Length);
        float* p = Pointer(destination);
        for (int i = 0; i < source.Length; i++) p[i] = (float)source[i];
    }

    /// <inheritdoc/>
    public override void Read(BufferView source, Span<float> destination)
    {
        CheckLength(source, destination.Length);
        new ReadOnlySpan<float>(Pointer(source), destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    public override void Read(BufferView source, Span<double> destination)
    {
        CheckLength(source, destination.Length);
        float* p = Pointer(source);
        for (int i = 0; i < destination.Length; i++) destination[i] = p[i];
    }

    /// <inheritdoc/>
    public override void Trim() => _memory.Trim();

    /// <summary>The address of a view's first element, or null for an empty view.</summary>
    internal static float* Pointer(BufferView view) => view.IsEmpty ? null : ((CpuBuffer)view.Buffer).Pointer + view.Offset;

    /// <summary>Runs numbered pieces of work on all threads; see <see cref="WorkerPool.Run"/>.</summary>
    internal void Parallel(int items, Action<int, int> body) => _workers.Run(items, body);

    /// <summary>Lends memory for the length of one kernel. Dispose it there.</summary>
    internal CpuScratch Scratch(long floats) => new(_memory, floats);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _memory.Dispose();

    private static void CheckLength(BufferView view, int length)
    {
        if (view.Length != length) throw new ArgumentException($"The device view has {view.Length} elements, the host memory {length}.");
    }

    private sealed class CpuBuffer(CpuDevice device, MemoryPool pool, long length) : DeviceBuffer(device, length)
    {
        private MemoryBlock? _block = pool.Rent(length * sizeof(float));

        ~CpuBuffer() => Dispose(false);

        public override bool IsDisposed => _block == null;

        public float* Pointer
        {
            get
            {
                if (_block == null) throw DeviceBuffer.Disposed();
                return (float*)MemoryPool.Pointer(_block);
            }
        }

        protected override void Dispose(bool disposing)
        {
            var block = _block;
            _block = null;
            if (block != null) pool.Return(block);
        }
    }

    private readonly struct CpuSpan(BufferView view)
    {
        public void Fill(float value)
        {
            float* p = Pointer(view);
            for (long i = 0; i < view.Length; i++) p[i] = value;
        }
    }
}

/// <summary>Scratch memory of one kernel call, aligned to 64 bytes.</summary>
internal readonly unsafe struct CpuScratch : IDisposable
{
    private readonly MemoryPool? _pool;
    private readonly MemoryBlock _block;

    public CpuScratch(MemoryPool pool, long floats)
    {
        _pool = pool;
        _block = pool.Rent(floats * sizeof(float));
        Pointer = (float*)MemoryPool.Pointer(_block);
    }

    public float* Pointer { get; }

    public void Dispose() => _pool?.Return(_block); // the default value holds nothing
}

/// <summary>The kernels of <see cref="CpuDevice"/>, each in its operation's folder (<c>*.Cpu.cs</c>).</summary>
internal sealed unsafe partial class CpuKernels(CpuDevice device) : IKernels
{
    private readonly CpuDevice _device = device;

    /// <summary>Pointer to a view's elements; null for an operand that was not given.</summary>
    private static float* P(BufferView view) => CpuDevice.Pointer(view);

    /// <summary>Pieces of at most <paramref name="grain"/>: ⌈count / grain⌉.</summary>
    private static int Pieces(long count, long grain) => checked((int)((count + grain - 1) / grain));

    /// <summary>
    /// Cuts [0, count) into pieces of <paramref name="grain"/> and calls body(first, last) for each, in parallel.
    /// The cut depends on count and grain only.
    /// </summary>
    private void ParallelRange(long count, long grain, Action<long, long> body)
    {
        if (count <= grain)
        {
            if (count > 0) body(0, count);
            return;
        }
        _device.Parallel(Pieces(count, grain), (item, _) =>
        {
            long first = item * grain;
            body(first, Math.Min(count, first + grain));
        });
    }
}
