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
    public void CopyChannels(in ChannelsGeometry g, BufferView x, BufferView y, bool accumulate) => throw new NotImplementedException("CopyChannels");
    public void ChannelShuffle(long rows, int channels, int groups, BufferView x, BufferView y, bool accumulate) => throw new NotImplementedException("ChannelShuffle");
    public void DepthToSpace(in DepthToSpaceGeometry g, BufferView x, BufferView y, bool accumulate) => throw new NotImplementedException("DepthToSpace");
    public void SpaceToDepth(in DepthToSpaceGeometry g, BufferView y, BufferView x, bool accumulate) => throw new NotImplementedException("SpaceToDepth");
    public void Scale(BufferView x, BufferView y, double scale, bool accumulate) => throw new NotImplementedException("Scale");
    public void Add(BufferView a, BufferView b, BufferView y) => throw new NotImplementedException("Add");
    public void Multiply(BufferView a, BufferView b, BufferView y, bool accumulate) => throw new NotImplementedException("Multiply");
    public void AddChannels(in BroadcastGeometry g, BufferView x, BufferView b, BufferView y) => throw new NotImplementedException("AddChannels");
    public void MultiplyChannels(in BroadcastGeometry g, BufferView x, BufferView s, BufferView y, bool accumulate) => throw new NotImplementedException("MultiplyChannels");
    public void MultiplyChannelsScaleGradient(in BroadcastGeometry g, BufferView x, BufferView dy, BufferView ds, bool accumulate) => throw new NotImplementedException("MultiplyChannelsScaleGradient");
    public void UpsampleNearestForward(in UpsampleGeometry g, BufferView x, BufferView y) => throw new NotImplementedException("UpsampleNearestForward");
    public void UpsampleNearestBackward(in UpsampleGeometry g, BufferView dy, BufferView dx, bool accumulate) => throw new NotImplementedException("UpsampleNearestBackward");
    public void Conv2dForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView y, BufferView moments) => throw new NotImplementedException("Conv2dForward");
    public void Conv2dInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate) => throw new NotImplementedException("Conv2dInputGradient");
    public void Conv2dWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate) => throw new NotImplementedException("Conv2dWeightGradient");
    public PackedConv2d Conv2dPack(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy) => throw new NotImplementedException("Conv2dPack");
    public void Conv2dPacked(PackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y) => throw new NotImplementedException("Conv2dPacked");
    public void Gemm(in GemmGeometry g, BufferView a, BufferView b, BufferView c, bool accumulate) => throw new NotImplementedException("Gemm");
    public void ActivationForward(ActivationKind kind, BufferView x, BufferView y) => throw new NotImplementedException("ActivationForward");
    public void ActivationBackward(ActivationKind kind, BufferView x, BufferView dy, BufferView dx, bool accumulate) => throw new NotImplementedException("ActivationBackward");
    public void AdaptiveAvgPool2dForward(in AdaptiveAvgPool2dGeometry g, BufferView x, BufferView y) => throw new NotImplementedException("AdaptiveAvgPool2dForward");
    public void AdaptiveAvgPool2dBackward(in AdaptiveAvgPool2dGeometry g, BufferView dy, BufferView dx, bool accumulate) => throw new NotImplementedException("AdaptiveAvgPool2dBackward");
    public void Dropout(ulong seed, ulong stream, double p, BufferView x, BufferView y, bool accumulate) => throw new NotImplementedException("Dropout");
    public void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => throw new NotImplementedException("AvgPool2dForward");
    public void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate) => throw new NotImplementedException("AvgPool2dBackward");
    public void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => throw new NotImplementedException("MaxPool2dForward");
    public void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate) => throw new NotImplementedException("MaxPool2dBackward");
    public void ReduceSum(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) => throw new NotImplementedException("ReduceSum");
    public void ReduceBroadcast(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) => throw new NotImplementedException("ReduceBroadcast");
}
