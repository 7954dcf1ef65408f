namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void ActivationForward(ActivationKind kind, BufferView x, BufferView y) =>
        Map<ActivationFunction>(x, default, y, new() { Kind = kind }, accumulate: false);

    public void ActivationBackward(ActivationKind kind, BufferView x, BufferView dy, BufferView dx, bool accumulate) =>
        Map<ActivationGradientFunction>(x, dy, dx, new() { Kind = kind }, accumulate);
}
