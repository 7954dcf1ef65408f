namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void AdamStep(in AdamStepGeometry g, params AdamOperand[] parameters)
    {
        foreach (var p in parameters)
        {
            Span<double> w = S(p.Weight), gradient = S(p.Gradient), m = S(p.Mean), v = S(p.Square), largest = S(p.LargestSquare);
            for (int i = 0; i < w.Length; i++)
            {
                double d = gradient[i];
                if (g.Decoupled) w[i] *= 1 - (g.LearningRate * g.WeightDecay);
                else d += g.WeightDecay * w[i];
                m[i] = (g.Beta1 * m[i]) + ((1 - g.Beta1) * d);
                v[i] = (g.Beta2 * v[i]) + ((1 - g.Beta2) * d * d);
                double square = v[i];
                if (g.AmsGrad) square = largest[i] = Math.Max(largest[i], v[i]);
                w[i] -= g.StepSize * m[i] / ((Math.Sqrt(square) / g.RootCorrection) + g.Epsilon);
            }
        }
    }
}
