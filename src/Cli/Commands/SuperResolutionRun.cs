using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary>The options of <c>train</c> that are for super-resolution.</summary>
internal sealed class SuperResolutionOptions
{
    private static readonly string[] s_tasks = ["classification", SuperResolutionState.RunKind];

    private readonly Option<string> _task = new("--task")
    {
        Description = $"What to train for: {string.Join(" | ", s_tasks)}. The latter takes a folder of PNG pictures as --data and a model sesr_…; its defaults are 300 epochs, batch 32, learning rate 2e-4, method clb.",
        DefaultValueFactory = _ => s_tasks[0],
        HelpName = "TASK",
    };
    private readonly Option<int?> _patch = new("--patch") { Description = "Super-resolution: rows and columns of the small patches. Default: 64, for ×4 50.", HelpName = "PIXELS" };
    private readonly Option<int?> _patches = new("--patches") { Description = "Super-resolution: patches of every picture in an epoch. Default: 64.", HelpName = "N" };

    public SuperResolutionOptions(Command command)
    {
        foreach (var option in (ReadOnlySpan<Option>)[_task, _patch, _patches]) command.Add(option);
    }

    public bool IsAsked(ParseResult parsed)
    {
        string task = parsed.GetValue(_task)!;
        if (!s_tasks.Contains(task)) throw new ArgumentException($"There is no task '{task}'.{Suggest.Offer(task, s_tasks)} Known are {string.Join(", ", s_tasks)}.");
        if (task == SuperResolutionState.RunKind) return true;
        if (parsed.GetValue(_patch) != null || parsed.GetValue(_patches) != null) throw new ArgumentException("--patch and --patches are for --task super-resolution. Leave them out, or give the task.");
        return false;
    }

    public SuperResolutionRecipe Read(ParseResult parsed, RecipeOptions recipe, int scale) => recipe.ReadSuperResolution(parsed, scale, parsed.GetValue(_patch), parsed.GetValue(_patches));
}

/// <summary>Runs of <c>train --task super-resolution</c>.</summary>
internal static class SuperResolutionRun
{
    /// <summary>SESR is meant to be trained in collapsible form; --method none trains the plain one.</summary>
    public const string UsualMethod = "clb";

    private const double LineInterval = 5; // seconds

    /// <summary>The method asked for; its blocks are as wide as those of the model's authors unless another width is set.</summary>
    public static IReparameterization? MethodFor(Model model, string name, string[] settings) =>
        Options.ReadMethod(name, name == UsualMethod && model is Sesr sesr ? [$"width={sesr.CollapsibleWidth}", .. settings] : settings);

    /// <summary>The network that a run starts from.</summary>
    public static Sesr LoadStart(string path, Device device)
    {
        var model = ModelFile.Load(path, device);
        if (model is Sesr sesr && model.Forms.Count == 0) return sesr;
        using (model)
        {
            throw new ArgumentException(model is Sesr ? $"{path} is in {model.Forms[^1].Method.Name} form. Give the run's merged.safetensors, or merge it first: refconv merge --from {path} --out merged.safetensors."
                : $"{path} is a {model.Spec.Architecture}, which enlarges no pictures. --from takes a network of SESR here.");
        }
    }

    public static int Start(Output output, Device device, string architecture, double width, Sesr? trained, Func<Model, IReparameterization?> methodFor, string data, int? limit,
        Func<int, SuperResolutionRecipe> recipeFor, string? path, int? stopAfter, CancellationToken cancellation)
    {
        // The recipe depends on how much the model enlarges, and the model on the recipe's seed.
        int scale = architecture.EndsWith("_x4", StringComparison.Ordinal) ? 4 : 2;
        var recipe = recipeFor(scale);
        recipe.Validate();
        using var plain = Zoo.Create(new ModelSpec(architecture) { Width = width, ImageSize = recipe.PatchSize }, new Initializer(device, recipe.Seed));
        if (plain.Task != ModelTask.SuperResolution) throw new ArgumentException($"{architecture} is a classifier. --task super-resolution takes one of {string.Join(", ", Zoo.NamesOf(ModelTask.SuperResolution))}.");
        if (trained != null) ((Sesr)plain).StartFrom(trained);
        var pictures = SuperResolutionData.Open(data, scale, limit);
        var method = methodFor(plain);
        using var expanded = method == null ? null : plain.Expand(method, seed: recipe.Seed);
        var model = expanded ?? plain;
        var folder = new RunFolder(path ?? Options.NewFolder(SuperResolutionState.RunKind));
        using var trainer = new SuperResolutionTrainer(model, pictures, new SuperResolutionState { Data = data, Limit = limit, Recipe = recipe }, folder);
        folder.Create();
        if (trained != null) output.Line($"Starts from {trained.Spec.Architecture}{(trained.Scale == scale ? "" : ", all layers but the last")}");
        output.Line($"{architecture}{string.Concat(model.Forms.Select(f => $", {f}"))}, {model.ParameterCount():N0} parameters; {pictures.Train.Count} pictures to learn from, " +
            $"{pictures.Test.Count} held out, made {scale} times smaller; {device.Name}, {device.Description}");
        return Go(output, trainer, folder, stopAfter, cancellation);
    }

    public static int Go(Output output, SuperResolutionTrainer trainer, RunFolder folder, int? stopAfter, CancellationToken cancellation)
    {
        double bicubic = trainer.Data.Test.Average(p => p.BicubicPsnr);
        Watch(output, trainer, bicubic);
        bool finished = trainer.Run(stopAfter, cancellation);
        var state = trainer.State;
        string step = state.StepInEpoch > 0 ? $" and {state.StepInEpoch} steps" : "";
        if (!finished) output.Line($"Stopped after {state.Epoch} of {state.Recipe.Epochs} epochs{step}; saved. Go on with: refconv train --resume {folder.Path}");
        double? psnr = state.History.LastOrDefault()?.Psnr, mergedPsnr = null;
        string? file = null;
        if (finished && trainer.Model.Forms.Count > 0)
        {
            var (merged, value) = trainer.Merge();
            using (merged)
            {
                (mergedPsnr, file) = (value, Path.Combine(folder.Path, "merged.safetensors"));
                ModelFile.Save(merged, file);
                output.Line($"Merged: PSNR {Output.Text(value, "0.00")} dB, {merged.ParameterCount():N0} parameters of {trainer.Model.ParameterCount():N0}: {file}");
            }
        }
        else if (finished)
        {
            output.Line($"PSNR {Output.Text(psnr ?? 0, "0.00")} dB (bicubic {Output.Text(bicubic, "0.00")} dB). Model: {folder.LastFile}");
        }
        output.Object(new JsonObject
        {
            ["psnr"] = psnr,
            ["bestPsnr"] = state.History.Count > 0 ? state.History.Max(h => h.Psnr) : null,
            ["bicubicPsnr"] = bicubic,
            ["mergedPsnr"] = mergedPsnr,
            ["epochs"] = state.Epoch,
            ["finished"] = finished,
            ["run"] = folder.Path,
            ["last"] = folder.LastFile,
            ["merged"] = file,
        });
        return cancellation.IsCancellationRequested && !finished ? 130 : 0;
    }

    private static void Watch(Output output, SuperResolutionTrainer trainer, double bicubic)
    {
        long lastLine = Stopwatch.GetTimestamp();
        trainer.OnStep = (step, steps, loss) =>
        {
            if (Stopwatch.GetElapsedTime(lastLine).TotalSeconds < LineInterval) return;
            lastLine = Stopwatch.GetTimestamp();
            output.Line($"  epoch {trainer.State.Epoch + 1}/{trainer.State.Recipe.Epochs}, step {step}/{steps}, loss {Output.Text(loss, "0.0000")}");
        };
        trainer.OnEpoch = r =>
        {
            lastLine = Stopwatch.GetTimestamp();
            output.Line($"  epoch {r.Epoch,3}: training loss {Output.Text(r.TrainLoss, "0.0000")}, PSNR {Output.Text(r.Psnr, "0.00")} dB (bicubic {Output.Text(bicubic, "0.00")} dB), {Output.Text(r.Seconds, "0.0")} s");
            output.Object(new JsonObject { ["epoch"] = r.Epoch, ["trainLoss"] = r.TrainLoss, ["psnr"] = r.Psnr, ["seconds"] = r.Seconds });
        };
    }
}
