namespace RefConv;

/// <summary>
/// While one is open, the parameters that this thread makes may have so many elements together and no more. A few words in a file can describe a model of
/// billions of weights: this ends its construction before memory is taken for them.
/// </summary>
internal sealed class ParameterBudget : IDisposable
{
    [ThreadStatic]
    private static ParameterBudget? s_current;

    private readonly ParameterBudget? _outer = s_current;
    private readonly List<Parameter> _made = [];
    private readonly bool _fills;
    private long _left;

    /// <summary>Opens one.</summary>
    /// <param name="elements">Elements that all parameters made until it is disposed may have.</param>
    /// <param name="zeros">False where every element will be written before any is read: a pass over the whole memory of the model that can be saved.</param>
    public ParameterBudget(long elements, bool zeros = true)
    {
        _left = elements;
        _fills = zeros;
        s_current = this;
    }

    /// <summary>New parameters of this thread are filled with zeros.</summary>
    public static bool FillsWithZeros => s_current?._fills ?? true;

    /// <summary>Called before memory is taken for a parameter.</summary>
    /// <returns>The elements asked for.</returns>
    /// <exception cref="ArgumentException">The budget of this thread is spent.</exception>
    public static long Take(long elements)
    {
        if (s_current is not { } budget) return elements;
        if (elements > budget._left) throw new ArgumentException("It has more weights than the file: the description is of another model, or damaged. Use another copy of the file.");
        budget._left -= elements;
        return elements;
    }

    /// <summary>Called with every parameter made.</summary>
    public static void Made(Parameter parameter) => s_current?._made.Add(parameter);

    /// <summary>Gives the memory of everything that was made back: nobody else holds the parts of a model that was not finished.</summary>
    public void Abandon()
    {
        foreach (var parameter in _made) parameter.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => s_current = _outer;
}
