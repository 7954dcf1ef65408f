namespace RefConv.Kernels;

/// <summary>
/// Everything a device can compute. Each operation's folder adds its methods to this interface, beside the geometry
/// they take and the maths they do; a device is a class that has them all.
/// </summary>
/// <remarks>
/// Conventions, the same for every method:
/// <list type="bullet">
/// <item>Feature maps are channels-last, <c>[n, h, w, c]</c>, dense. Convolution weights are <c>[r, s, c/g, k]</c>.</item>
/// <item>Outputs overwrite, unless the method has <c>accumulate</c> and it is true: then they are added to.</item>
/// <item>Inputs and outputs do not overlap unless the method says that it works in place.</item>
/// <item>Sizes are checked by the caller; kernels only assert.</item>
/// <item>Results are the same bits from run to run and for any number of threads.</item>
/// </list>
/// </remarks>
public partial interface IKernels
{
}
