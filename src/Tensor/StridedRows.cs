using RefConv.Kernels;

namespace RefConv;

/// <summary>A run of channels inside a map: its pixels lie further apart than their channels.</summary>
/// <param name="Data">The whole map.</param>
/// <param name="Pitch">Channels of the map: elements from one pixel to the next.</param>
/// <param name="Offset">The first channel of the run.</param>
internal readonly record struct StridedRows(BufferView Data, int Pitch, int Offset)
{
    /// <summary>The map from the run's first element on.</summary>
    public BufferView FromFirst => Data.Slice(Offset, Data.Length - Offset);
}
