namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void SgdStep(in SgdStepGeometry g, params SgdOperand[] parameters)
    {
        foreach (var (weight, gradient, velocity) in parameters) SgdStep(g, weight, gradient, velocity);
    }

    private static void SgdStep(in SgdStepGeometry g, BufferView weight, BufferView gradient, BufferView velocity)
    {
        var w = S(weight);
        var gs = S(gradient);
        var v = S(velocity);
        for (int i = 0; i < w.Length; i++)
        {
            double d = gs[i] + (g.WeightDecay * w[i]);
            if (g.Momentum != 0)
            {
                v[i] = g.First ? d : (g.Momentum * v[i]) + d;
                d = g.Nesterov ? d + (g.Momentum * v[i]) : v[i];
            }
            w[i] -= g.LearningRate * d;
        }
    }
}
