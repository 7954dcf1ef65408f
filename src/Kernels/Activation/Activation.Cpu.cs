namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void ActivationForward(ActivationKind kind, BufferView x, BufferView y) => throw new NotSupportedException();

    public void ActivationBackward(ActivationKind kind, BufferView x, BufferView dy, BufferView dx, bool accumulate) => throw new NotSupportedException();
}
