namespace RefConv.Kernels;

// Members still to be written; each goes to its operation's folder. Gone when the back end is complete.
internal sealed partial class GpuKernels
{
    public void RefocusUnfold(in RefocusGeometry g, BufferView basis, BufferView unfolded) => throw new NotImplementedException("RefocusUnfold");
    public void RefocusForward(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView map, BufferView result, bool shortcut) => throw new NotImplementedException("RefocusForward");
    public void RefocusMapGradient(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView dw, BufferView dmap, bool accumulate) => throw new NotImplementedException("RefocusMapGradient");
    public void RefocusMapStep(in RefocusGeometry g, in SgdStepGeometry step, BufferView basis, BufferView unfolded, BufferView dw, BufferView map, BufferView velocity) => throw new NotImplementedException("RefocusMapStep");
    public void RefocusBasisGradient(in RefocusGeometry g, BufferView map, BufferView dw, BufferView dbasis, bool shortcut, bool accumulate) => throw new NotImplementedException("RefocusBasisGradient");
    public void RegionConv2dForward(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView w, BufferView b, BufferView y) => throw new NotImplementedException("RegionConv2dForward");
    public void RegionConv2dInputGradient(in RegionConv2dGeometry g, BufferView dy, BufferView mask, BufferView w, BufferView dx, bool accumulate) => throw new NotImplementedException("RegionConv2dInputGradient");
    public void RegionConv2dKernelGradient(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView dy, BufferView dw, bool accumulate) => throw new NotImplementedException("RegionConv2dKernelGradient");
    public void RegionConv2dScores(in RegionConv2dGeometry g, BufferView x, BufferView w, BufferView dy, BufferView a) => throw new NotImplementedException("RegionConv2dScores");
    public void ArgMaxChannels(long rows, int channels, BufferView x, BufferView y) => throw new NotImplementedException("ArgMaxChannels");
    public void SoftmaxChannelsGradient(long rows, int channels, BufferView x, BufferView a, BufferView dx, bool accumulate) => throw new NotImplementedException("SoftmaxChannelsGradient");
}
