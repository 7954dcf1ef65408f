using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace RefConv.Kernels;

/// <summary>
/// A GPU through ILGPU: <c>cuda:N</c>, <c>opencl:N</c>, or ILGPU's own simulation of one. 32-bit floats, one stream: kernels and copies run in the order in
/// which they were asked for, and only reading waits for them.
/// </summary>
internal sealed class IlgpuDevice : Device
{
    private readonly DeviceMemoryPool _memory;
    private readonly CudaUploads? _uploads;

    public IlgpuDevice(string name, Accelerator accelerator, GpuPrecision precision)
    {
        Name = name;
        Accelerator = accelerator;
        Precision = precision;
        Launcher = new KernelLauncher(name, accelerator);
        _memory = new DeviceMemoryPool(accelerator, Synchronize);
        Nothing = accelerator.Allocate1D<float>(4);
        if (accelerator is CudaAccelerator cuda) _uploads = new CudaUploads(cuda);
        Kernels = new GpuKernels(this);
    }

    public override string Name { get; }

    public override string Description => $"{Accelerator.Name}, {Precision switch
    {
        GpuPrecision.Tf32 => "tf32 products, float32 sums",
        GpuPrecision.BFloat16 => "bfloat16 products, float32 sums",
        GpuPrecision.Float16 => "float16 products, float32 sums",
        _ => "float32",
    }}";

    public override bool IsAsynchronous => true;

    public override bool NeedsLossScaling => Precision == GpuPrecision.Float16;

    public override IKernels Kernels { get; }

    public override MemoryStatistics Memory => _memory.Statistics;

    /// <summary>Times that the host waited for results.</summary>
    internal int Reads { get; private set; }

    /// <summary>How it multiplies.</summary>
    public GpuPrecision Precision { get; }

    internal Accelerator Accelerator { get; }

    internal KernelLauncher Launcher { get; }

    /// <summary>What a kernel gets in the place of an operand that was not given: every argument must point somewhere.</summary>
    internal MemoryBuffer1D<float, Stride1D.Dense> Nothing { get; }

    /// <summary>ILGPU's simulation: a thread of the system for every GPU thread, so launches are kept as small as the work allows.</summary>
    internal bool IsSimulated => Accelerator.AcceleratorType == AcceleratorType.CPU;

    /// <summary>Groups that keep the whole device busy.</summary>
    internal int FullGrid => IsSimulated ? 1 : Math.Max(1, Accelerator.NumMultiprocessors) * 8;

    /// <exception cref="DeviceUnavailableException">The device has no such arithmetic.</exception>
    public static void CheckPrecision(GpuDeviceInfo info, ILGPU.Runtime.Device device, GpuPrecision precision)
    {
        if (precision == GpuPrecision.Float32 || device.AcceleratorType == AcceleratorType.CPU) return;
        if (device is CudaDevice { Architecture: { Major: >= 8 } }) return;
        throw new DeviceUnavailableException($"The device '{info.Name}' ({info.Description}) cannot multiply in {precision}: that takes the tensor cores of an NVIDIA GPU from Ampere (sm_80) on. Use --precision fp32.");
    }

    public override DeviceBuffer Rent(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        GpuBuffer buffer;
        try
        {
            buffer = new GpuBuffer(this, _memory, length);
        }
        catch (Exception e) when (IsDriverError(e))
        {
            // The memory itself is asked for without waiting; what fails here is often a kernel before it.
            throw new DeviceLostException(Name, $"taking memory for {length} elements, or a kernel before that", e);
        }
        if (PoisonBuffers && length > 0) Kernels.Fill(buffer.View, double.NaN);
        return buffer;
    }

    public override void Write(BufferView destination, ReadOnlySpan<float> source)
    {
        CheckLength(destination, source.Length);
        if (source.Length == 0) return;
        var target = View(destination);
        if (Launcher.Waiting == 0)
        {
            Upload(target, source);
            return;
        }
        float[] copy = source.ToArray(); // the caller may do with his memory what he likes
        Launcher.InOrder(() => Upload(target, copy), sizeof(float) * (long)copy.Length);
    }

    private void Upload(ArrayView<float> target, ReadOnlySpan<float> source)
    {
        try
        {
            if (_uploads != null) _uploads.Write(target, source);
            else CopyPinned(target, source);
        }
        catch (Exception e) when (IsDriverError(e))
        {
            throw new DeviceLostException(Name, $"copying {source.Length} elements to it", e);
        }
    }

    public override void Write(BufferView destination, ReadOnlySpan<double> source)
    {
        CheckLength(destination, source.Length);
        float[] values = new float[source.Length];
        for (int i = 0; i < values.Length; i++) values[i] = (float)source[i];
        Write(destination, values);
    }

    public override void Read(BufferView source, Span<float> destination)
    {
        CheckLength(source, destination.Length);
        if (destination.Length == 0) return;
        Reads++;
        Launcher.Wait();
        try
        {
            CopyPinned(source, destination);
        }
        catch (Exception e) when (IsDriverError(e))
        {
            throw new DeviceLostException(Name, $"reading {destination.Length} elements from it, or a kernel before that", e);
        }
    }

    public override void Read(BufferView source, Span<double> destination)
    {
        float[] values = new float[destination.Length];
        Read(source, values);
        for (int i = 0; i < values.Length; i++) destination[i] = values[i];
    }

    public override void Trim()
    {
        Synchronize();
        _memory.Trim();
    }

    /// <summary>Waits until everything asked for is done.</summary>
    internal void Synchronize()
    {
        Launcher.Wait();
        try
        {
            Accelerator.Synchronize();
        }
        catch (Exception e) when (IsDriverError(e))
        {
            throw new DeviceLostException(Name, "waiting for its kernels", e);
        }
    }

    /// <summary>The device's view of some elements; four unused ones for an operand that was not given.</summary>
    internal ArrayView<float> View(BufferView view) => view.IsEmpty ? Nothing.View.AsContiguous() : ((GpuBuffer)view.Buffer).Floats.SubView(view.Offset, view.Length);

    /// <summary>Lends memory for the length of one kernel call. Dispose it there: what runs after runs later, the memory may be lent again at once.</summary>
    internal GpuScratch Scratch(long floats)
    {
        try
        {
            return new(_memory, floats);
        }
        catch (Exception e) when (IsDriverError(e))
        {
            throw new DeviceLostException(Name, $"taking memory for {floats} elements, or a kernel before that", e);
        }
    }

    /// <summary>Memory that the device keeps for itself, until <see cref="GiveBack"/>.</summary>
    internal MemoryBuffer1D<float, Stride1D.Dense> Keep(long floats)
    {
        try
        {
            return _memory.Rent(floats, counted: false);
        }
        catch (Exception e) when (IsDriverError(e))
        {
            throw new DeviceLostException(Name, $"taking memory for {floats} elements, or a kernel before that", e);
        }
    }

    internal void GiveBack(MemoryBuffer1D<float, Stride1D.Dense> block) => _memory.Return(block, counted: false);

    /// <summary>Copies whole numbers to the device, in their turn.</summary>
    internal void Upload(ArrayView<long> target, long[] source) => Launcher.InOrder(() =>
    {
        try
        {
            unsafe
            {
                fixed (long* pinned = source) target.CopyFromCPU(Accelerator.DefaultStream, ref *pinned, source.Length);
            }
        }
        catch (Exception e) when (IsDriverError(e))
        {
            throw new DeviceLostException(Name, $"copying {source.Length} numbers to it", e);
        }
    });

    protected override void Dispose(bool disposing)
    {
        if (!disposing || Accelerator.IsDisposed) return;
        try
        {
            Launcher.Abandon();
            Accelerator.Synchronize(); // what is under way reads memory that goes now
            _uploads?.Dispose();
            Nothing.Dispose();
            _memory.Dispose();
            Accelerator.Dispose();
        }
        catch (Exception e) when (IsDriverError(e))
        {
            // A device that was lost cannot be tidied up, and what it was lost by is being told already.
        }
    }

    /// <summary>ILGPU makes an address of the reference without pinning it: if the collector moved the memory meanwhile, the copy would go elsewhere.</summary>
    private unsafe void CopyPinned(ArrayView<float> target, ReadOnlySpan<float> source)
    {
        fixed (float* pinned = source) target.CopyFromCPU(Accelerator.DefaultStream, ref *pinned, source.Length);
    }

    private unsafe void CopyPinned(BufferView source, Span<float> destination)
    {
        fixed (float* pinned = destination) View(source).CopyToCPU(Accelerator.DefaultStream, ref *pinned, destination.Length);
    }

    /// <summary>An error of a driver, as ILGPU reports it.</summary>
    internal static bool IsDriverError(Exception e) => e is CudaException or CLException;

    private static void CheckLength(BufferView view, int length)
    {
        if (view.Length != length) throw new ArgumentException($"The device view has {view.Length} elements, the host memory {length}.");
    }

    private sealed class GpuBuffer(IlgpuDevice device, DeviceMemoryPool pool, long length) : DeviceBuffer(device, length)
    {
        private MemoryBuffer1D<float, Stride1D.Dense>? _block = pool.Rent(length);

        ~GpuBuffer() => Dispose(false);

        public override bool IsDisposed => _block == null;

        public ArrayView<float> Floats => (_block ?? throw DeviceBuffer.Disposed()).View.AsContiguous();

        protected override void Dispose(bool disposing)
        {
            if (Interlocked.Exchange(ref _block, null) is { } block) pool.Return(block);
        }
    }
}

/// <summary>Device memory of one kernel call.</summary>
internal readonly struct GpuScratch(DeviceMemoryPool pool, long floats) : IDisposable
{
    private readonly MemoryBuffer1D<float, Stride1D.Dense> _block = pool.Rent(floats);

    public ArrayView<float> Floats => _block.View.AsContiguous().SubView(0, floats);

    /// <summary>The same memory as whole numbers.</summary>
    public ArrayView<int> Ints => Floats.Cast<int>();

    public void Dispose() => pool.Return(_block);
}
