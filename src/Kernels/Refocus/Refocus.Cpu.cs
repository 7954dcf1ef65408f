namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void RefocusUnfold(in RefocusGeometry g, BufferView basis, BufferView unfolded) => throw new NotSupportedException();

    public void RefocusForward(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView map, BufferView result, bool shortcut) => throw new NotSupportedException();

    public void RefocusMapGradient(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView dw, BufferView dmap, bool accumulate) => throw new NotSupportedException();

    public void RefocusBasisGradient(in RefocusGeometry g, BufferView map, BufferView dw, BufferView dbasis, bool shortcut, bool accumulate) => throw new NotSupportedException();
}
