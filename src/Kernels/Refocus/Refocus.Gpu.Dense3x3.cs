using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// g = 1, kernels of 3×3 and maps of 3×3, in full: the 49 pairs of pixel and tap that meet inside a kernel, written out. A thread has a quad of all 27 planes, 18 of
/// which it keeps in registers, so each is read or written once.
/// </summary>
/// <remarks>
/// Bytes: 27 planes of 4·Cin·Cout, for 512×512 channels 28.3 MB, 8.4 µs on an H100; 49 FMAs for 27 floats are nothing beside them. All the loads of a thread are
/// under way at a time, 18·16 bytes. Expected: 85 % of the copy bandwidth. With the step of the optimiser map and velocity are read as well and the velocity is written: 54 planes.
/// </remarks>
internal sealed partial class GpuKernels
{
    private const int RefocusDenseGroup = 256;

    [GpuKernel(RefocusDenseGroup, MinGroups = 2, Hot = true, Wide = true)]
    private static void RefocusDense3x3Kernel(RefocusDenseArguments a)
    {
        int quads = a.Shape.D / 4;
        // The map's planes from the first to the last, or the other way.
        int first = a.Mirrored != 0 ? 8 * quads : 0, step = a.Mirrored != 0 ? -quads : quads;
        ArrayView<Float4> map = a.Map.Cast<Float4>(), source = a.Source.Cast<Float4>();
        for (int i = GpuThread.First; i < quads; i += GpuThread.Step)
        {
            Float4 b0 = source[i], b1 = source[i + quads], b2 = source[i + (2 * quads)], b3 = source[i + (3 * quads)], b4 = source[i + (4 * quads)];
            Float4 b5 = source[i + (5 * quads)], b6 = source[i + (6 * quads)], b7 = source[i + (7 * quads)], b8 = source[i + (8 * quads)];
            int at = i + first;
            Float4 m0 = map[at], m1 = map[at + step], m2 = map[at + (2 * step)], m3 = map[at + (3 * step)], m4 = map[at + (4 * step)];
            Float4 m5 = map[at + (5 * step)], m6 = map[at + (6 * step)], m7 = map[at + (7 * step)], m8 = map[at + (8 * step)];
            RefocusPutDense(a, i, (m4 * b0) + (m5 * b1) + (m7 * b3) + (m8 * b4), b0);
            RefocusPutDense(a, i + quads, (m3 * b0) + (m4 * b1) + (m5 * b2) + (m6 * b3) + (m7 * b4) + (m8 * b5), b1);
            RefocusPutDense(a, i + (2 * quads), (m3 * b1) + (m4 * b2) + (m6 * b4) + (m7 * b5), b2);
            RefocusPutDense(a, i + (3 * quads), (m1 * b0) + (m2 * b1) + (m4 * b3) + (m5 * b4) + (m7 * b6) + (m8 * b7), b3);
            RefocusPutDense(a, i + (4 * quads), (m0 * b0) + (m1 * b1) + (m2 * b2) + (m3 * b3) + (m4 * b4) + (m5 * b5) + (m6 * b6) + (m7 * b7) + (m8 * b8), b4);
            RefocusPutDense(a, i + (5 * quads), (m0 * b1) + (m1 * b2) + (m3 * b4) + (m4 * b5) + (m6 * b7) + (m7 * b8), b5);
            RefocusPutDense(a, i + (6 * quads), (m1 * b3) + (m2 * b4) + (m4 * b6) + (m5 * b7), b6);
            RefocusPutDense(a, i + (7 * quads), (m0 * b3) + (m1 * b4) + (m2 * b5) + (m3 * b6) + (m4 * b7) + (m5 * b8), b7);
            RefocusPutDense(a, i + (8 * quads), (m0 * b4) + (m1 * b5) + (m3 * b7) + (m4 * b8), b8);
        }
    }

    private static void RefocusPutDense(RefocusDenseArguments a, int at, Float4 change, Float4 source)
    {
        var result = a.Result.Cast<Float4>();
        var value = change;
        if (a.Shortcut != 0)
        {
            value = new()
            {
                X = RefocusChanged(source.X, change.X), Y = RefocusChanged(source.Y, change.Y), Z = RefocusChanged(source.Z, change.Z), W = RefocusChanged(source.W, change.W),
            };
        }
        if (a.Accumulate != 0) value += result[at];
        result[at] = value;
    }

    [GpuKernel(RefocusDenseGroup, MinGroups = 2, Hot = true, Wide = true)]
    private static void RefocusDenseMap3x3Kernel(RefocusDenseMapArguments a)
    {
        int quads = a.Shape.D / 4;
        ArrayView<Float4> basis = a.Basis.Cast<Float4>(), dw = a.Dw.Cast<Float4>();
        for (int i = GpuThread.First; i < quads; i += GpuThread.Step)
        {
            Float4 w = default, v = default;
            RefocusOld(a.Target, i, ref w, ref v);
            Float4 b0 = basis[i], b1 = basis[i + quads], b2 = basis[i + (2 * quads)], b3 = basis[i + (3 * quads)], b4 = basis[i + (4 * quads)];
            Float4 b5 = basis[i + (5 * quads)], b6 = basis[i + (6 * quads)], b7 = basis[i + (7 * quads)], b8 = basis[i + (8 * quads)];
            Float4 d0 = dw[i], d1 = dw[i + quads], d2 = dw[i + (2 * quads)], d3 = dw[i + (3 * quads)], d4 = dw[i + (4 * quads)];
            Float4 d5 = dw[i + (5 * quads)], d6 = dw[i + (6 * quads)], d7 = dw[i + (7 * quads)], d8 = dw[i + (8 * quads)];
            RefocusPutTap(a.Target, i, i + quads, (d4 * b0) + (d5 * b1) + (d7 * b3) + (d8 * b4), ref w, ref v);
            RefocusPutTap(a.Target, i + quads, i + (2 * quads), (d3 * b0) + (d4 * b1) + (d5 * b2) + (d6 * b3) + (d7 * b4) + (d8 * b5), ref w, ref v);
            RefocusPutTap(a.Target, i + (2 * quads), i + (3 * quads), (d3 * b1) + (d4 * b2) + (d6 * b4) + (d7 * b5), ref w, ref v);
            RefocusPutTap(a.Target, i + (3 * quads), i + (4 * quads), (d1 * b0) + (d2 * b1) + (d4 * b3) + (d5 * b4) + (d7 * b6) + (d8 * b7), ref w, ref v);
            RefocusPutTap(a.Target, i + (4 * quads), i + (5 * quads), (d0 * b0) + (d1 * b1) + (d2 * b2) + (d3 * b3) + (d4 * b4) + (d5 * b5) + (d6 * b6) + (d7 * b7) + (d8 * b8), ref w, ref v);
            RefocusPutTap(a.Target, i + (5 * quads), i + (6 * quads), (d0 * b1) + (d1 * b2) + (d3 * b4) + (d4 * b5) + (d6 * b7) + (d7 * b8), ref w, ref v);
            RefocusPutTap(a.Target, i + (6 * quads), i + (7 * quads), (d1 * b3) + (d2 * b4) + (d4 * b6) + (d5 * b7), ref w, ref v);
            RefocusPutTap(a.Target, i + (7 * quads), i + (8 * quads), (d0 * b3) + (d1 * b4) + (d2 * b5) + (d3 * b6) + (d4 * b7) + (d5 * b8), ref w, ref v);
            RefocusPutTap(a.Target, i + (8 * quads), i, (d0 * b4) + (d1 * b5) + (d3 * b7) + (d4 * b8), ref w, ref v);
        }
    }

    private static void RefocusOld(RefocusMapTarget target, int at, ref Float4 old, ref Float4 velocity)
    {
        if (target.Mode != RefocusMapTarget.Write) old = target.Map.Cast<Float4>()[at];
        if (target.ReadsVelocity) velocity = target.Velocity.Cast<Float4>()[at];
    }

    /// <summary>Puts the gradient of a tap where it belongs. What the next tap needs is asked for before: a load cannot overtake a store that may have the same address.</summary>
    private static void RefocusPutTap(RefocusMapTarget target, int at, int next, Float4 gradient, ref Float4 old, ref Float4 velocity)
    {
        Float4 w = default, v = default;
        RefocusOld(target, next, ref w, ref v);
        target.Map.Cast<Float4>()[at] = target.Next(gradient, old, ref velocity);
        if (target.Mode >= RefocusMapTarget.FirstStep) target.Velocity.Cast<Float4>()[at] = velocity;
        old = w;
        velocity = v;
    }
}
