namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Gemm(in GemmGeometry g, BufferView a, BufferView b, BufferView c, bool accumulate) => throw new NotSupportedException();
}
