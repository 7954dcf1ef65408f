namespace RefConv.Kernels;

/// <summary>
/// Has the just-in-time compiler see the kernels that most networks begin with while something else, the reading of a model's weights, goes on. A kernel costs 2 to 10 ms
/// when it is called for the first time, and a network has some thirty of them: a third of the time from the start of a process to its first answer. Once a
/// process, on a thread of its own that ends when it is done; whoever is faster needs not wait, since the compiler works on several methods at once.
/// </summary>
internal static class CompileAhead
{
    private static int s_started;

    /// <summary>Begins, unless that was done before or there is no second processor to do it on.</summary>
    public static void Start()
    {
        if (Environment.ProcessorCount < 2 || Interlocked.Exchange(ref s_started, 1) != 0) return;
        new Thread(Run) { IsBackground = true, Name = "RefConv kernels" }.Start();
    }

    private static void Run()
    {
        using var device = new CpuDevice(threads: 1);
        // In the order of a MobileNet: stem, depthwise, products of one to four vectors of columns with and without an activation, residual, the strided ones.
        Try(device, Shape(3, 32, 3, 2), ActivationKind.ReLU6);
        Try(device, Depthwise(32, 3, 1), ActivationKind.ReLU6);
        Try(device, Shape(32, 16, 1, 1), ActivationKind.Identity);
        Try(device, Shape(16, 96, 1, 1), ActivationKind.ReLU6);
        Try(device, Depthwise(32, 3, 2), ActivationKind.ReLU6);
        Try(device, Shape(32, 24, 1, 1), ActivationKind.Identity);
        Try(device, Shape(32, 24, 1, 1), ActivationKind.Identity, residual: true);
        Try(device, Shape(32, 160, 1, 1), ActivationKind.Identity, residual: true);
        Try(device, Shape(16, 48, 1, 1), ActivationKind.ReLU6);
    }

    private static void Try(CpuDevice device, Conv2dGeometry g, ActivationKind activation, bool residual = false)
    {
        using var x = device.Rent(g.InputLength);
        using var w = device.Rent(g.WeightLength);
        using var b = device.Rent(g.K);
        using var y = device.Rent(g.OutputLength);
        foreach (var buffer in (DeviceBuffer[])[x, w, b, y]) device.Kernels.Fill(buffer.View, 0);
        using var packed = device.Kernels.Conv2dPack(g, w.View, Conv2dAccuracy.Fast);
        device.Kernels.Conv2dPacked(packed, activation, x.View, b.View, residual ? y.View : default, y.View);
    }

    /// <summary>A map whose 49 pixels make tiles of the heights that are met: 6 rows; 4 and 3 where such a map ends.</summary>
    private static Conv2dGeometry Shape(int c, int k, int size, int stride, int groups = 1) =>
        new(1, 7 * stride, 7 * stride, c, k, size, size) { StrideH = stride, StrideW = stride, PadTop = size / 2, PadBottom = size / 2, PadLeft = size / 2, PadRight = size / 2, Groups = groups };

    private static Conv2dGeometry Depthwise(int c, int size, int stride) => Shape(c, c, size, stride, c);
}
