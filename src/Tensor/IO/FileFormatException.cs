namespace RefConv.IO;

/// <summary>
/// A file is damaged or is not of the kind it was read as. The message is one sentence or two for the person at the keyboard: which file,
/// what is wrong with it, and what to do.
/// </summary>
public sealed class FileFormatException : IOException
{
    /// <summary>Says what is wrong with a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="problem">What is wrong, and what to do; it follows the file name and a colon.</param>
    /// <param name="inner">What was thrown underneath, if anything was.</param>
    public FileFormatException(string path, string problem, Exception? inner = null)
        : base($"{path}: {problem}", inner)
    {
        Path = path;
    }

    /// <summary>The file that could not be read.</summary>
    public string Path { get; }
}
