namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Lerp(BufferView x, BufferView y, double weight)
    {
        var xs = S(x);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++) ys[i] += weight * (xs[i] - ys[i]);
    }
}
