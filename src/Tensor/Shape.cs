namespace RefConv;

/// <summary>The sizes of a tensor's axes. Feature maps are channels-last: <c>[n, h, w, c]</c>.</summary>
public readonly struct Shape : IEquatable<Shape>
{
    private readonly int[] _sizes;

    /// <summary>Makes a shape. No sizes at all is a scalar.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative.</exception>
    public Shape(params ReadOnlySpan<int> sizes)
    {
        foreach (int size in sizes) ArgumentOutOfRangeException.ThrowIfNegative(size);
        _sizes = sizes.ToArray();
    }

    /// <summary>Number of axes.</summary>
    public int Rank => Sizes.Length;

    /// <summary>Number of elements.</summary>
    public long Count
    {
        get
        {
            long count = 1;
            foreach (int size in Sizes) count = checked(count * size);
            return count;
        }
    }

    /// <summary>The sizes, outermost first.</summary>
    public ReadOnlySpan<int> Sizes => _sizes;

    /// <summary>Size of one axis; negative counts from the end.</summary>
    public int this[int axis] => _sizes[axis < 0 ? axis + _sizes.Length : axis];

    /// <summary>Same sizes.</summary>
    public static bool operator ==(Shape a, Shape b) => a.Equals(b);

    /// <summary>Different sizes.</summary>
    public static bool operator !=(Shape a, Shape b) => !a.Equals(b);

    /// <inheritdoc/>
    public bool Equals(Shape other) => Sizes.SequenceEqual(other.Sizes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        foreach (int size in Sizes) hash.Add(size);
        return hash.ToHashCode();
    }

    /// <inheritdoc/>
    public override string ToString() => $"[{string.Join(", ", _sizes ?? [])}]";
}
