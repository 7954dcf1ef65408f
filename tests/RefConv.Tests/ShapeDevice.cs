using System.Reflection;
using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>
/// A device that computes nothing and holds nothing: everything read from it is 1. What is said about shapes, such as the counts of a model of a
/// hundred million weights, needs no more (PyTorch's "meta" device).
/// </summary>
internal sealed class ShapeDevice : Device
{
    public override string Name => "shapes";

    public override string Description => "no values";

    public override IKernels Kernels { get; } = DispatchProxy.Create<IKernels, NoKernels>();

    public override MemoryStatistics Memory => default;

    public override DeviceBuffer Rent(long length) => new NoMemory(this, length);

    public override void Write(BufferView destination, ReadOnlySpan<float> source)
    {
    }

    public override void Write(BufferView destination, ReadOnlySpan<double> source)
    {
    }

    public override void Read(BufferView source, Span<float> destination) => destination.Fill(1);

    public override void Read(BufferView source, Span<double> destination) => destination.Fill(1);

    public override void Trim()
    {
    }

    private sealed class NoMemory(Device device, long length) : DeviceBuffer(device, length)
    {
        private bool _disposed;

        public override bool IsDisposed => _disposed;

        protected override void Dispose(bool disposing) => _disposed = true;
    }

    /// <summary>Every kernel does nothing.</summary>
    internal class NoKernels : DispatchProxy
    {
        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => null;
    }
}
