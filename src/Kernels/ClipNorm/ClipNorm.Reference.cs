namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void ClipNorm(in ClipNormGeometry g, BufferView norm, params BufferView[] gradients)
    {
        double squares = 0;
        foreach (var gradient in gradients)
        {
            foreach (double value in S(gradient)) squares += value * value;
        }
        double length = g.Scale * Math.Sqrt(squares), factor = g.Factor(length);
        S(norm)[0] = length;
        foreach (var gradient in gradients)
        {
            foreach (ref double value in S(gradient)) value *= factor;
        }
    }
}
