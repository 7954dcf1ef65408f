namespace RefConv.Cases;

/// <summary>All rows of all kernels. A new operation adds its table here and nowhere else.</summary>
public static class CaseTables
{
    /// <summary>Every row.</summary>
    public static IEnumerable<KernelCase> All =>
    [
        .. ActivationCases.All,
        .. AdamStepCases.All,
        .. AdaptiveAvgPool2dCases.All,
        .. BatchNormCases.All,
        .. BatchNormSumCases.All,
        .. ChannelsCases.All,
        .. ClipNormCases.All,
        .. Conv2dCases.All,
        .. CountHitsCases.All,
        .. DepthwiseCases.All,
        .. DropoutCases.All,
        .. ElementwiseCases.All,
        .. GemmCases.All,
        .. L1LossCases.All,
        .. LayerNormCases.All,
        .. LerpCases.All,
        .. Pool2dCases.All,
        .. PReLUCases.All,
        .. ReduceCases.All,
        .. RefocusCases.All,
        .. RegionConv2dCases.All,
        .. ResampleCases.All,
        .. SgdStepCases.All,
        .. SoftmaxCrossEntropyCases.All,
        .. SumOfSquaresCases.All,
        .. WeightNormCases.All,
    ];
}
