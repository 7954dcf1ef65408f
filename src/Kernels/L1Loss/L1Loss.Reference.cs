namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void L1LossForward(BufferView x, BufferView target, BufferView loss)
    {
        Span<double> xs = S(x), targets = S(target);
        double sum = 0;
        for (int i = 0; i < xs.Length; i++) sum += Math.Abs(xs[i] - targets[i]);
        S(loss)[0] = sum / xs.Length;
    }

    public void L1LossBackward(BufferView x, BufferView target, BufferView dloss, BufferView dx, bool accumulate)
    {
        Span<double> xs = S(x), targets = S(target), dxs = S(dx);
        double each = S(dloss)[0] / xs.Length;
        for (int i = 0; i < xs.Length; i++) Put(ref dxs[i], xs[i] > targets[i] ? each : xs[i] < targets[i] ? -each : 0, accumulate);
    }
}
