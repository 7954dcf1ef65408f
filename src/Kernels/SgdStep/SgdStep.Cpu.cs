namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void SgdStep(in SgdStepGeometry g, BufferView weight, BufferView gradient, BufferView velocity) => throw new NotSupportedException();
}
