using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// g = 1: every one of the D = Cin·Cout kernels is filtered by its own map. Kernels and maps are stored with [i, o] innermost, so every term is a product of two planes of
/// D floats, and neighbouring threads have neighbouring floats of all of them. Here for any size of kernel and map, and for D that quads do not divide.
/// </summary>
/// <remarks>Each plane is read several times, the first time from memory and then from the first-level cache: three times a copy of the planes, expected.</remarks>
internal sealed partial class GpuKernels
{
    /// <summary>result[pixel] (+)= [source[pixel]] + Σ_tap map[tap] · source[neighbour of the pixel at the tap]; mirrored: with the map's taps in reverse.</summary>
    private void RefocusDense(in RefocusGeometry g, BufferView map, BufferView source, BufferView result, bool shortcut, bool mirrored, bool accumulate)
    {
        var arguments = new RefocusDenseArguments
        {
            Shape = new(g), Map = V(map), Source = V(source), Result = V(result), Count = (int)g.KernelLength, Shortcut = shortcut ? 1 : 0, Mirrored = mirrored ? 1 : 0, Accumulate = accumulate ? 1 : 0,
        };
        if (Is3x3(g) && AreAligned(map, source, result)) LaunchElements<RefocusDenseArguments>(RefocusDense3x3Kernel, g.D / 4, arguments);
        else LaunchElements<RefocusDenseArguments>(RefocusDenseKernel, g.KernelLength, arguments);
    }

    private void RefocusDenseMap(in RefocusGeometry g, BufferView basis, BufferView dw, RefocusMapTarget target, bool aligned)
    {
        var arguments = new RefocusDenseMapArguments { Shape = new(g), Basis = V(basis), Dw = V(dw), Target = target, Count = (int)g.MapLength };
        if (aligned && Is3x3(g)) LaunchElements<RefocusDenseMapArguments>(RefocusDenseMap3x3Kernel, g.D / 4, arguments);
        else LaunchElements<RefocusDenseMapArguments>(RefocusDenseMapKernel, g.MapLength, arguments);
    }

    private static bool Is3x3(in RefocusGeometry g) => g is { R: 3, S: 3, MapK: 3 } && g.D % 4 == 0;

    internal struct RefocusDenseArguments
    {
        public RefocusShape Shape;
        public ArrayView<float> Map, Source, Result;
        public int Count, Shortcut, Mirrored, Accumulate;
    }

    [GpuKernel(ElementGroup)]
    private static void RefocusDenseKernel(RefocusDenseArguments a)
    {
        int planes = a.Shape.D, taps = a.Shape.K * a.Shape.K;
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int pixel = i / planes, d = i - (pixel * planes);
            float change = 0;
            for (int tap = 0; tap < taps; tap++)
            {
                int from = a.Shape.Neighbour(pixel, tap);
                if (from < 0) continue;
                change += a.Map[((a.Mirrored != 0 ? taps - 1 - tap : tap) * planes) + d] * a.Source[(from * planes) + d];
            }
            float value = change;
            if (a.Shortcut != 0) value = RefocusChanged(a.Source[i], change);
            if (a.Accumulate != 0) value += a.Result[i];
            a.Result[i] = value;
        }
    }

    internal struct RefocusDenseMapArguments
    {
        public RefocusShape Shape;
        public ArrayView<float> Basis, Dw;
        public RefocusMapTarget Target;
        public int Count;
    }

    [GpuKernel(ElementGroup)]
    private static void RefocusDenseMapKernel(RefocusDenseMapArguments a)
    {
        int planes = a.Shape.D;
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int tap = i / planes, d = i - (tap * planes);
            float gradient = 0;
            Float4 old = default, velocity = default; // one of four is used: the same step as everywhere
            for (int pixel = 0; pixel < a.Shape.Pixels; pixel++)
            {
                int from = a.Shape.Neighbour(pixel, tap);
                if (from >= 0) gradient += a.Dw[(pixel * planes) + d] * a.Basis[(from * planes) + d];
            }
            if (a.Target.Mode != RefocusMapTarget.Write) old.X = a.Target.Map[i];
            if (a.Target.ReadsVelocity) velocity.X = a.Target.Velocity[i];
            a.Target.Map[i] = a.Target.Next(new() { X = gradient }, old, ref velocity).X;
            if (a.Target.Mode >= RefocusMapTarget.FirstStep) a.Target.Velocity[i] = velocity.X;
        }
    }
}
