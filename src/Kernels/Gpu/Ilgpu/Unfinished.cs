namespace RefConv.Kernels;

// Members still to be written; each goes to its operation's folder. Gone when the back end is complete.
internal sealed partial class GpuKernels
{
    public void AdamStep(in AdamStepGeometry g, params AdamOperand[] parameters) => throw new NotImplementedException("AdamStep");
    public void L1LossForward(BufferView x, BufferView target, BufferView loss) => throw new NotImplementedException("L1LossForward");
    public void L1LossBackward(BufferView x, BufferView target, BufferView dloss, BufferView dx, bool accumulate) => throw new NotImplementedException("L1LossBackward");
    public void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y) => throw new NotImplementedException("Softmax");
    public void SoftmaxCrossEntropyForward(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView probabilities, BufferView loss) => throw new NotImplementedException("SoftmaxCrossEntropyForward");
    public void SoftmaxCrossEntropyBackward(in SoftmaxCrossEntropyGeometry g, BufferView probabilities, BufferView labels, BufferView dloss, BufferView dx, bool accumulate) => throw new NotImplementedException("SoftmaxCrossEntropyBackward");
    public void CopyChannels(in ChannelsGeometry g, BufferView x, BufferView y, bool accumulate) => throw new NotImplementedException("CopyChannels");
    public void ChannelShuffle(long rows, int channels, int groups, BufferView x, BufferView y, bool accumulate) => throw new NotImplementedException("ChannelShuffle");
    public void OrthogonalizeForward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView w) => throw new NotImplementedException("OrthogonalizeForward");
    public void OrthogonalizeBackward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView dw, BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale) => throw new NotImplementedException("OrthogonalizeBackward");
    public void DepthToSpace(in DepthToSpaceGeometry g, BufferView x, BufferView y, bool accumulate) => throw new NotImplementedException("DepthToSpace");
    public void SpaceToDepth(in DepthToSpaceGeometry g, BufferView y, BufferView x, bool accumulate) => throw new NotImplementedException("SpaceToDepth");
    public void Scale(BufferView x, BufferView y, double scale, bool accumulate) => throw new NotImplementedException("Scale");
    public void Add(BufferView a, BufferView b, BufferView y) => throw new NotImplementedException("Add");
    public void Multiply(BufferView a, BufferView b, BufferView y, bool accumulate) => throw new NotImplementedException("Multiply");
    public void AddChannels(in BroadcastGeometry g, BufferView x, BufferView b, BufferView y) => throw new NotImplementedException("AddChannels");
    public void MultiplyChannels(in BroadcastGeometry g, BufferView x, BufferView s, BufferView y, bool accumulate) => throw new NotImplementedException("MultiplyChannels");
    public void MultiplyChannelsScaleGradient(in BroadcastGeometry g, BufferView x, BufferView dy, BufferView ds, bool accumulate) => throw new NotImplementedException("MultiplyChannelsScaleGradient");
    public void LayerNormForward(in LayerNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView y) => throw new NotImplementedException("LayerNormForward");
    public void LayerNormBackward(in LayerNormGeometry g, BufferView x, BufferView dy, BufferView gamma, BufferView mean, BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotImplementedException("LayerNormBackward");
    public void UpsampleNearestForward(in UpsampleGeometry g, BufferView x, BufferView y) => throw new NotImplementedException("UpsampleNearestForward");
    public void UpsampleNearestBackward(in UpsampleGeometry g, BufferView dy, BufferView dx, bool accumulate) => throw new NotImplementedException("UpsampleNearestBackward");
    public void BatchNormSumTraining(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, BufferView residual, BufferView y) => throw new NotImplementedException("BatchNormSumTraining");
    public void BatchNormSumTrainingBackward(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, ReadOnlySpan<BatchNormTermGradient> gradients, BufferView y, BufferView dy) => throw new NotImplementedException("BatchNormSumTrainingBackward");
    public void PReLUForward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView y) => throw new NotImplementedException("PReLUForward");
    public void PReLUBackward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView dy, BufferView dx, BufferView dalpha, bool accumulateInput, bool accumulateAlpha) => throw new NotImplementedException("PReLUBackward");
    public void SgdStep(in SgdStepGeometry g, params SgdOperand[] parameters) => throw new NotImplementedException("SgdStep");
    public void WeightNormForward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView w) => throw new NotImplementedException("WeightNormForward");
    public void WeightNormBackward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView dw, BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale) => throw new NotImplementedException("WeightNormBackward");
    public void Conv2dForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView y, BufferView moments) => throw new NotImplementedException("Conv2dForward");
    public void Conv2dInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate) => throw new NotImplementedException("Conv2dInputGradient");
    public void Conv2dWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate) => throw new NotImplementedException("Conv2dWeightGradient");
    public PackedConv2d Conv2dPack(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy) => throw new NotImplementedException("Conv2dPack");
    public void Conv2dPacked(PackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y) => throw new NotImplementedException("Conv2dPacked");
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView moments, BufferView gamma, BufferView beta, BufferView runningMean, BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView residual, BufferView y) => throw new NotImplementedException("BatchNormTraining");
    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView runningMean, BufferView runningVar, BufferView residual, BufferView y) => throw new NotImplementedException("BatchNormInference");
    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotImplementedException("BatchNormTrainingBackward");
    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView runningMean, BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotImplementedException("BatchNormInferenceBackward");
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
