using System.CommandLine;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Imaging;
using RefConv.Models.Train;

namespace RefConv.Cli;

/// <summary>Options that say what a training starts with (<c>train</c>, <c>lr-find</c>): recipe file, pictures, model, its form.</summary>
internal sealed class StartOptions
{
    public Option<string?> RecipeFile { get; } = RecipeOptions.File();

    public Option<string> Data { get; } = Options.Data();

    public Option<int?> ImageSize { get; } = new("--image-size")
    {
        Description = "Rows and columns that pictures of an imagefolder are brought to. Default: their own if all have the same (up to 224), otherwise 224.",
        HelpName = "PIXELS",
    };

    public Option<string> Model { get; } = Options.ModelName();

    public Option<double> Width { get; } = Options.Width();

    public Option<string> Method { get; } = Options.Method("none", "Train in the form of a method, to be merged afterwards");

    public Option<string[]> MethodOptions { get; } = Options.MethodOptions();

    public Option<string?> From { get; } = new("--from") { Description = "Start from this trained model instead of new weights. Default: new weights.", HelpName = "FILE" };

    public Option<int?> Limit { get; } = Options.Limit();

    /// <summary>All of them, in the order of the help.</summary>
    public IReadOnlyList<Option> All => [RecipeFile, Data, ImageSize, Model, Width, Method, MethodOptions, From, Limit];

    /// <summary>What the command line and the recipe file say together: a recipe file again.</summary>
    public RecipeFile Read(RecipeReading reading, RecipeOptions recipe)
    {
        reading.RefuseTables();
        string form = reading.Pick(Method, f => f.Method), pictures = reading.PickData(Data);
        bool formOfFile = reading.File?.Method == form;
        return new RecipeFile
        {
            Model = reading.Pick(Model, f => f.Model),
            Width = reading.Pick(Width, f => f.Width),
            ImageSize = reading.Pick(ImageSize, f => IsFolder(pictures) ? f.ImageSize : null),
            From = reading.PickOptional(From, f => f.From),
            Method = form,
            MethodOptions = formOfFile ? reading.File!.MethodOptions : null,
            Layers = formOfFile ? reading.File!.Layers : null,
            Data = pictures,
            Limit = reading.Pick(Limit, f => f.Limit),
            Recipe = reading.Read(recipe),
        };
    }

    /// <summary>Opens what it says.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="used">What <see cref="Read"/> gave.</param>
    /// <param name="where">The device.</param>
    /// <exception cref="ArgumentException">Something makes no sense.</exception>
    public Start Open(ParseResult parsed, RecipeFile used, Device where)
    {
        used.Recipe.Validate();
        var how = Options.ReadMethod(used.Method!, parsed.GetValue(MethodOptions), used.MethodOptions);
        DataInfo? info = null;
        var trained = used.From == null ? null : ModelFile.Load(used.From, where, out info);
        try
        {
            var source = DataSource.Open(used.Data!, used.Limit, used.TestLimit, FolderOptions(used.Data!, used.ImageSize, used.From, trained?.Spec, info));
            return new(trained, source, trained?.Spec ?? Options.SpecFor(used.Model!, used.Width!.Value, source.Train), how, Options.ReadLayers(used.Layers));
        }
        catch
        {
            trained?.Dispose();
            throw;
        }
    }

    private static bool IsFolder(string data) => data.StartsWith("imagefolder:", StringComparison.Ordinal);

    /// <summary>The input of the model that pictures of a folder are for: of the one to start from, or of one of the size asked for.</summary>
    private static ImageFolderOptions? FolderOptions(string data, int? size, string? from, ModelSpec? spec, DataInfo? info)
    {
        if (spec != null && IsFolder(data))
        {
            if (size != null && size != spec.ImageSize) throw new ArgumentException($"--image-size is {size}, and {from} takes pictures of {spec.ImageSize}×{spec.ImageSize}. Leave it out.");
            return ImageFolderOptions.For(spec, info);
        }
        if (size == null) return null;
        if (!IsFolder(data)) throw new ArgumentException($"--image-size is for imagefolder:DIR; the pictures of '{data}' have a size of their own.");
        if (size is < 1 or > 4096) throw new ArgumentException($"--image-size must be between 1 and 4096; it is {size}.");
        return new ImageFolderOptions(ImagePreprocessing.ForSize(size.Value));
    }
}

/// <summary>What a training starts with.</summary>
/// <param name="Trained">The model to start from; null for new weights.</param>
/// <param name="Source">The pictures.</param>
/// <param name="Spec">What the model is.</param>
/// <param name="How">The method in whose form it is trained; null for none.</param>
/// <param name="Policy">Which layers that takes; null for the method's own choice.</param>
internal sealed record Start(Model? Trained, DataSource Source, ModelSpec Spec, IReparameterization? How, LayerPolicy? Policy) : IDisposable
{
    /// <summary>The model: the trained one, or one with new weights. It is the caller's to dispose of where it is new.</summary>
    public Model Begin(Device where, ulong seed) => Trained ?? Zoo.Create(Spec, new Initializer(where, seed));

    public void Dispose() => Trained?.Dispose();
}
