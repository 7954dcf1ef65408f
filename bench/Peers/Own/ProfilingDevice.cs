using System.Diagnostics;
using System.Reflection;
using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>
/// Another device with a clock around every kernel. Tensors know their device by the buffer they lie in, so buffers are wrapped as well:
/// everything above the kernels meets this device, the kernels meet the buffers of the real one.
/// </summary>
/// <param name="inner">The device that does the work; disposed with this one.</param>
internal sealed class ProfilingDevice : Device
{
    private readonly Device _inner;

    public ProfilingDevice(Device inner)
    {
        _inner = inner;
        Kernels = DispatchProxy.Create<IKernels, TimingProxy>();
        ((TimingProxy)Kernels).Start(inner.Kernels, call => OnCall?.Invoke(call));
    }

    /// <summary>The device that does the work.</summary>
    public Device Inner => _inner;

    /// <summary>Told about every kernel call.</summary>
    public Action<KernelCall>? OnCall { get; set; }

    public override string Name => _inner.Name;

    public override string Description => _inner.Description;

    public override int Threads => _inner.Threads;

    public override IKernels Kernels { get; }

    public override MemoryStatistics Memory => _inner.Memory;

    public override DeviceBuffer Rent(long length) => new Wrapped(this, _inner.Rent(length));

    public override void Write(BufferView destination, ReadOnlySpan<float> source) => _inner.Write(Unwrap(destination), source);

    public override void Write(BufferView destination, ReadOnlySpan<double> source) => _inner.Write(Unwrap(destination), source);

    public override void Read(BufferView source, Span<float> destination) => _inner.Read(Unwrap(source), destination);

    public override void Read(BufferView source, Span<double> destination) => _inner.Read(Unwrap(source), destination);

    public override void Trim() => _inner.Trim();

    protected override void Dispose(bool disposing)
    {
        if (disposing) _inner.Dispose();
    }

    private static BufferView Unwrap(BufferView view) => view.Buffer is Wrapped w ? view with { Buffer = w.Inner } : view;

    private sealed class Wrapped(Device device, DeviceBuffer inner) : DeviceBuffer(device, inner.Length)
    {
        public DeviceBuffer Inner => inner;

        public override bool IsDisposed => inner.IsDisposed;

        protected override void Dispose(bool disposing) => inner.Dispose();
    }

    /// <summary>Implements <see cref="IKernels"/>, whatever methods it has: unwraps buffers, times the call, passes it on.</summary>
    internal class TimingProxy : DispatchProxy
    {
        private IKernels _kernels = null!;
        private Action<KernelCall> _report = null!;

        public void Start(IKernels kernels, Action<KernelCall> report) => (_kernels, _report) = (kernels, report);

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
        {
            long elements = 0;
            object? geometry = null;
            for (int i = 0; i < args!.Length; i++)
            {
                if (args[i] is BufferView view)
                {
                    elements += view.Length;
                    args[i] = Unwrap(view);
                }
                else if (args[i] is SgdOperand[] operands)
                {
                    elements += operands.Sum(o => o.Weight.Length + o.Gradient.Length + o.Velocity.Length);
                    args[i] = operands.Select(o => new SgdOperand(Unwrap(o.Weight), Unwrap(o.Gradient), Unwrap(o.Velocity))).ToArray();
                }
                else if (i == 0)
                {
                    geometry = args[i] is PackedConv2d packed ? packed.Geometry : args[i];
                }
            }
            long started = Stopwatch.GetTimestamp();
            object? result = targetMethod!.Invoke(_kernels, args);
            _report(new KernelCall(targetMethod.Name, geometry, elements, Stopwatch.GetElapsedTime(started).TotalMilliseconds));
            return result;
        }
    }
}

/// <summary>One call of a kernel.</summary>
/// <param name="Kernel">Name of the method.</param>
/// <param name="Geometry">Its first argument, where that is no buffer.</param>
/// <param name="Elements">Elements of all its operands.</param>
/// <param name="Milliseconds">Time, through reflection: about a microsecond too much.</param>
internal readonly record struct KernelCall(string Kernel, object? Geometry, long Elements, double Milliseconds)
{
    /// <summary>Which code serves it: the kinds of convolution are as different as other kernels are.</summary>
    public string Kind => Geometry switch
    {
        Conv2dGeometry { IsPointwise: true } => "1×1",
        Conv2dGeometry { IsDepthwise: true } g => $"depthwise {g.R}×{g.S}{Stride(g)}",
        Conv2dGeometry { Groups: > 1 } g => $"grouped {g.R}×{g.S}{Stride(g)}",
        Conv2dGeometry g => $"dense {g.R}×{g.S}{Stride(g)}",
        BatchNormGeometry g => $"with {g.Activation}",
        _ => "",
    };

    /// <summary>Operations, where counting them makes sense.</summary>
    public double Flops => 2.0 * Geometry switch
    {
        Conv2dGeometry g => g.Macs,
        GemmGeometry g => g.Macs,
        RefocusGeometry g when Kernel != nameof(IKernels.RefocusUnfold) => g.Macs,
        _ => 0,
    };

    private static string Stride(in Conv2dGeometry g) => g.StrideH == 1 ? "" : $" stride {g.StrideH}";
}
