namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Dropout(ulong seed, ulong stream, double p, BufferView x, BufferView y, bool accumulate) => throw new NotSupportedException();
}
