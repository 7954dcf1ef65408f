namespace RefConv;

/// <summary>A device says how much memory was asked for, is held and is free; what it was for is known here.</summary>
internal static class MemoryNames
{
    private const string Named = "RefConv.Named";

    /// <summary>The same error with a beginning that names the tensor or operation; the innermost name stays.</summary>
    /// <param name="error">What the device said.</param>
    /// <param name="what">As it stands after "no memory for".</param>
    public static OutOfMemoryException Of(OutOfMemoryException error, string what)
    {
        if (error.Data.Contains(Named)) return error;
        var named = new OutOfMemoryException($"There is no memory for {what}. {error.Message}", error);
        named.Data[Named] = true;
        return named;
    }
}
