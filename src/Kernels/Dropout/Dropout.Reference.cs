namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Dropout(ulong seed, ulong stream, double p, BufferView x, BufferView y, bool accumulate) => throw new NotSupportedException();
}
