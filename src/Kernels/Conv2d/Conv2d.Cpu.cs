namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Conv2dForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView y) => throw new NotSupportedException();

    public void Conv2dInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate) => throw new NotSupportedException();

    public void Conv2dWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate) => throw new NotSupportedException();
}
