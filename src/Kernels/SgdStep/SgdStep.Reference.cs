namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void SgdStep(in SgdStepGeometry g, BufferView weight, BufferView gradient, BufferView velocity) => throw new NotSupportedException();
}
