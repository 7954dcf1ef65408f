namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView y) => throw new NotSupportedException();

    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView y) => throw new NotSupportedException();

    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView mean,
        BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotSupportedException();

    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView runningMean,
        BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters) => throw new NotSupportedException();
}
