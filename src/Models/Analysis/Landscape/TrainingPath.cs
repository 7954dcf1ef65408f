using RefConv.IO;
using RefConv.Kernels;
using RefConv.Models.Train;

namespace RefConv.Models.Analysis;

/// <summary>The weights that a run went through: what <c>train --keep-epochs</c> left in its folder.</summary>
public static class TrainingPath
{
    /// <summary>The moving weights of every kept epoch, in memory order by state-dict key.</summary>
    /// <param name="run">The folder of the run.</param>
    /// <param name="device">Where to read and merge.</param>
    /// <param name="merged">Of the merged models; otherwise as they were trained.</param>
    /// <exception cref="IOException">No epochs were kept there, or a file is damaged.</exception>
    public static IReadOnlyList<IReadOnlyDictionary<string, float[]>> Read(string run, Device device, bool merged = true)
    {
        string[] files = new RunFolder(run).EpochFiles;
        if (files.Length == 0) throw new FileNotFoundException($"'{run}' holds no weights of epochs. Train with --keep-epochs, and give the folder of that run.");
        return [.. files.Select(file => Weights(file, device, merged))];
    }

    private static Dictionary<string, float[]> Weights(string file, Device device, bool merged)
    {
        using var model = ModelFile.Load(file, device);
        Model? plain = null;
        try
        {
            if (merged && model.IsMergeable) plain = model.Merge().Merged;
        }
        catch (InvalidOperationException e)
        {
            throw new FileFormatException(file, $"the weights in it cannot be merged ({e.Message}).", e);
        }
        using (plain) return (plain ?? model).NamedParameters().Where(p => LandscapeDirection.Moves(p.Parameter)).ToDictionary(p => p.Name, p => p.Parameter.ToArray());
    }
}
