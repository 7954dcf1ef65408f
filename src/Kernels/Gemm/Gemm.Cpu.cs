namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Gemm(in GemmGeometry g, BufferView a, BufferView b, BufferView c, bool accumulate) => throw new NotSupportedException();
}
