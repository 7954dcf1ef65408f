namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void ActivationForward(ActivationKind kind, BufferView x, BufferView y)
    {
        float* xs = P(x), ys = P(y);
        long n = y.Length;
        switch (kind)
        {
            case ActivationKind.Identity: MapElements(default(IdentityFunction), xs, ys, n, false); break;
            case ActivationKind.ReLU: MapElements(default(ReLUFunction), xs, ys, n, false); break;
            case ActivationKind.ReLU6: MapElements(default(ReLU6Function), xs, ys, n, false); break;
            case ActivationKind.Hardsigmoid: MapElements(default(HardsigmoidFunction), xs, ys, n, false); break;
            case ActivationKind.Hardswish: MapElements(default(HardswishFunction), xs, ys, n, false); break;
            case ActivationKind.Sigmoid: MapElements(default(SigmoidFunction), xs, ys, n, false); break;
            case ActivationKind.SiLU: MapElements(default(SiLUFunction), xs, ys, n, false); break;
            case ActivationKind.GELU: MapElements(default(GELUFunction), xs, ys, n, false); break;
            default: throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not an activation the kernels know.");
        }
    }

    public void ActivationBackward(ActivationKind kind, BufferView x, BufferView dy, BufferView dx, bool accumulate)
    {
        float* xs = P(x), dys = P(dy), dxs = P(dx);
        long n = dx.Length;
        switch (kind)
        {
            case ActivationKind.Identity: MapElements(default(IdentityFunction), dys, dxs, n, accumulate); break;
            case ActivationKind.ReLU: MapElements2(default(ReLUGradient), xs, dys, dxs, n, accumulate); break;
            case ActivationKind.ReLU6: MapElements2(default(ReLU6Gradient), xs, dys, dxs, n, accumulate); break;
            case ActivationKind.Hardsigmoid: MapElements2(default(HardsigmoidGradient), xs, dys, dxs, n, accumulate); break;
            case ActivationKind.Hardswish: MapElements2(default(HardswishGradient), xs, dys, dxs, n, accumulate); break;
            case ActivationKind.Sigmoid: MapElements2(default(SigmoidGradient), xs, dys, dxs, n, accumulate); break;
            case ActivationKind.SiLU: MapElements2(default(SiLUGradient), xs, dys, dxs, n, accumulate); break;
            case ActivationKind.GELU: MapElements2(default(GELUGradient), xs, dys, dxs, n, accumulate); break;
            default: throw new ArgumentOutOfRangeException(nameof(kind), kind, "Not an activation the kernels know.");
        }
    }
}
