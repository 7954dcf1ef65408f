namespace RefConv.Kernels;

// Members still to be written; each goes to its operation's folder. Gone when the back end is complete.
internal sealed partial class GpuKernels
{
    public void AdamStep(in AdamStepGeometry g, params AdamOperand[] parameters) => throw new NotImplementedException("AdamStep");
    public void L1LossForward(BufferView x, BufferView target, BufferView loss) => throw new NotImplementedException("L1LossForward");
    public void L1LossBackward(BufferView x, BufferView target, BufferView dloss, BufferView dx, bool accumulate) => throw new NotImplementedException("L1LossBackward");
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
    public void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y) => throw new NotImplementedException("Softmax");
    public void SoftmaxCrossEntropyForward(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView probabilities, BufferView loss) => throw new NotImplementedException("SoftmaxCrossEntropyForward");
    public void SoftmaxCrossEntropyBackward(in SoftmaxCrossEntropyGeometry g, BufferView probabilities, BufferView labels, BufferView dloss, BufferView dx, bool accumulate) => throw new NotImplementedException("SoftmaxCrossEntropyBackward");
    public void OrthogonalizeForward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView w) => throw new NotImplementedException("OrthogonalizeForward");
    public void OrthogonalizeBackward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView dw, BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale) => throw new NotImplementedException("OrthogonalizeBackward");
    public void LayerNormForward(in LayerNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView y) => throw new NotImplementedException("LayerNormForward");
    public void LayerNormBackward(in LayerNormGeometry g, BufferView x, BufferView dy, BufferView gamma, BufferView mean, BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotImplementedException("LayerNormBackward");
    public void BatchNormSumTraining(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, BufferView residual, BufferView y) => throw new NotImplementedException("BatchNormSumTraining");
    public void BatchNormSumTrainingBackward(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, ReadOnlySpan<BatchNormTermGradient> gradients, BufferView y, BufferView dy) => throw new NotImplementedException("BatchNormSumTrainingBackward");
    public void PReLUForward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView y) => throw new NotImplementedException("PReLUForward");
    public void PReLUBackward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView dy, BufferView dx, BufferView dalpha, bool accumulateInput, bool accumulateAlpha) => throw new NotImplementedException("PReLUBackward");
    public void SgdStep(in SgdStepGeometry g, params SgdOperand[] parameters) => throw new NotImplementedException("SgdStep");
    public void WeightNormForward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView w) => throw new NotImplementedException("WeightNormForward");
    public void WeightNormBackward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView dw, BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale) => throw new NotImplementedException("WeightNormBackward");
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView moments, BufferView gamma, BufferView beta, BufferView runningMean, BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView residual, BufferView y) => throw new NotImplementedException("BatchNormTraining");
    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView runningMean, BufferView runningVar, BufferView residual, BufferView y) => throw new NotImplementedException("BatchNormInference");
    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotImplementedException("BatchNormTrainingBackward");
    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView runningMean, BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotImplementedException("BatchNormInferenceBackward");
}
