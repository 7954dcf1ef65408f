namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void PReLUForward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView y)
    {
        for (int i = 0; i < S(y).Length; i++) S(y)[i] = S(x)[i] > 0 ? S(x)[i] : S(alpha)[i % g.C] * S(x)[i];
    }

    public void PReLUBackward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView dy, BufferView dx, BufferView dalpha, bool accumulateInput, bool accumulateAlpha)
    {
        double[] sums = new double[g.C];
        for (int i = 0; i < S(x).Length; i++)
        {
            bool positive = S(x)[i] > 0;
            if (!dx.IsEmpty) Put(ref S(dx)[i], positive ? S(dy)[i] : S(alpha)[i % g.C] * S(dy)[i], accumulateInput);
            if (!positive) sums[i % g.C] += S(x)[i] * S(dy)[i];
        }
        for (int c = 0; c < S(dalpha).Length; c++) Put(ref S(dalpha)[c], sums[c], accumulateAlpha);
    }
}
