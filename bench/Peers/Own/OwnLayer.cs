using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>Our side of the layer cases of one shape: operands, and the three computations on them.</summary>
internal sealed class OwnLayer : IDisposable
{
    private readonly Device _device;
    private readonly Conv2dGeometry _g;
    private readonly DeviceBuffer _x, _w, _dy, _y, _dx, _dw;
    private PackedConv2d? _packed;

    public OwnLayer(Device device, in Conv2dGeometry g)
    {
        (_device, _g) = (device, g);
        var random = new Random(7);
        (_x, _w, _dy) = (Fill(g.InputLength, 1), Fill(g.WeightLength, 0.1f), Fill(g.OutputLength, 1));
        // Outputs are filled too: a page that was never touched costs a page fault in the first call that writes it.
        (_y, _dx, _dw) = (Fill(g.OutputLength, 1), Fill(g.InputLength, 1), Fill(g.WeightLength, 1));

        DeviceBuffer Fill(long length, float scale)
        {
            var buffer = device.Rent(length);
            float[] values = new float[length];
            for (int i = 0; i < values.Length; i++) values[i] = scale * ((2 * random.NextSingle()) - 1);
            device.Write(buffer.View, values);
            return buffer;
        }
    }

    /// <summary>Writes x [N, H, W, C], w [R, S, C/g, K] and dy [N, P, Q, K], one after the other: bare floats.</summary>
    public void Save(string path)
    {
        using var file = File.Create(path);
        foreach (var operand in (DeviceBuffer[])[_x, _w, _dy]) file.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(Read(operand).AsSpan()));
    }

    /// <summary>The result of a direction, computed now, in our order of elements.</summary>
    public float[] Result(Conv2dDirection direction, bool packed)
    {
        Compute(direction, packed);
        return Read(direction switch { Conv2dDirection.Forward => _y, Conv2dDirection.InputGradient => _dx, _ => _dw });
    }

    /// <summary>Computes a direction so many times; milliseconds of one. Weights are packed before.</summary>
    public double Run(Conv2dDirection direction, bool packed, int times)
    {
        if (packed) _packed ??= _device.Kernels.Conv2dPack(_g, _w.View, Conv2dAccuracy.Fast);
        var clock = Clock.Start(_device.Threads);
        for (int i = 0; i < times; i++) Compute(direction, packed);
        return clock.Milliseconds / times;
    }

    public void Dispose()
    {
        _packed?.Dispose();
        foreach (var buffer in (DeviceBuffer[])[_x, _w, _dy, _y, _dx, _dw]) buffer.Dispose();
    }

    private void Compute(Conv2dDirection direction, bool packed)
    {
        if (packed)
        {
            _packed ??= _device.Kernels.Conv2dPack(_g, _w.View, Conv2dAccuracy.Fast);
            _device.Kernels.Conv2dPacked(_packed, ActivationKind.Identity, _x.View, default, default, _y.View);
            return;
        }
        switch (direction)
        {
            case Conv2dDirection.Forward: _device.Kernels.Conv2dForward(_g, _x.View, _w.View, default, _y.View); break;
            case Conv2dDirection.InputGradient: _device.Kernels.Conv2dInputGradient(_g, _dy.View, _w.View, _dx.View, accumulate: false); break;
            default: _device.Kernels.Conv2dWeightGradient(_g, _x.View, _dy.View, _dw.View, accumulate: false); break;
        }
    }

    private float[] Read(DeviceBuffer buffer)
    {
        float[] values = new float[buffer.Length];
        _device.Read(buffer.View, values);
        return values;
    }
}
