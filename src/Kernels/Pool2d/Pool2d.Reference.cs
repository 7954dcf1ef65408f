namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => throw new NotSupportedException();

    public void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate) => throw new NotSupportedException();

    public void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => throw new NotSupportedException();

    public void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate) => throw new NotSupportedException();
}
