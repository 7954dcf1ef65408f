using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Imaging;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv train</c>: trains a plain model, or goes on with any run.</summary>
internal static class TrainCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("train", "Train a model from scratch, or go on with a run that was stopped (--resume).");
        Option<string> data = Options.Data(), model = Options.ModelName();
        Option<double> width = Options.Width();
        Option<string> method = Options.Method("none", "Train in the form of a method, to be merged afterwards");
        Option<string[]> methodOptions = Options.MethodOptions();
        Option<string?> from = new("--from") { Description = "Start from this trained model instead of new weights. Default: new weights.", HelpName = "FILE" };
        Option<int?> limit = Options.Limit(), testLimit = Options.TestLimit();
        Option<int?> imageSize = new("--image-size") { Description = "Rows and columns that pictures of an imagefolder are brought to. Default: their own if all have the same (up to 224), otherwise 224.", HelpName = "PIXELS" };
        Option<int?> stopAfter = new("--stop-after") { Description = "Stop when so many epochs of the recipe are done; go on later with --resume.", HelpName = "EPOCHS" };
        Option<string?> resume = new("--resume") { Description = "Go on with the run in this folder; recipe and data are read from it.", HelpName = "RUN" };
        Option<bool> json = Options.Json(), keepEpochs = Options.KeepEpochs();
        Option<string?> outFolder = Options.Out("Folder for the checkpoints. Default: a new folder runs/train-N."), tensorBoard = Options.TensorBoard();
        Option<string?> recipeFile = RecipeOptions.File(), saveRecipe = new("--save-recipe") { Description = "Write the recipe of this run to a file, too. Default: recipe.json in the folder of the run.", HelpName = "FILE" };
        foreach (var option in (ReadOnlySpan<Option>)[recipeFile, saveRecipe, data, imageSize, model, width, method, methodOptions, from, limit, testLimit]) command.Add(option);
        var recipe = new RecipeOptions(command, epochs: 12);
        var superResolution = new SuperResolutionOptions(command);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[stopAfter, keepEpochs, resume, outFolder, tensorBoard, json]) command.Add(option);

        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            TrainingRun.CheckStop(parsed.GetValue(stopAfter));
            using var where = device.Open(parsed);
            if (parsed.GetValue(resume) is { } run)
            {
                // What the run has fixed cannot be given again: ignoring it would let one believe that it counts.
                Option[] free = [stopAfter, resume, .. device.All, tensorBoard, json];
                if (command.Options.FirstOrDefault(o => !free.Contains(o) && parsed.GetResult(o) is { Implicit: false }) is { } given)
                    throw new ArgumentException($"{given.Name} cannot be given with --resume: recipe, data and folder are those of the run.");
                var folder = new RunFolder(run);
                if (folder.ReadKind() == SuperResolutionState.RunKind)
                {
                    if (parsed.GetValue(tensorBoard) != null) throw new ArgumentException("--tensorboard is for classifiers, and this is a super-resolution run. Leave it out.");
                    using var enlarger = SuperResolutionTrainer.Resume(folder, where);
                    if (enlarger.State.IsFinished) output.Line($"The run in {run} is finished already ({enlarger.State.Epoch} epochs).");
                    return SuperResolutionRun.Go(output, enlarger, folder, parsed.GetValue(stopAfter), cancellation);
                }
                using var trainer = Trainer.Resume(folder, where);
                if (trainer.State.IsFinished) output.Line($"The run in {run} is finished already ({trainer.State.Epoch} epochs).");
                return TrainingRun.Go(output, trainer, folder, parsed.GetValue(stopAfter), cancellation, parsed.GetValue(tensorBoard));
            }
            if (superResolution.IsAsked(parsed))
            {
                Option[] classifierOnly = [.. recipe.ClassifierOnly, recipeFile, saveRecipe, testLimit, imageSize, keepEpochs, tensorBoard];
                if (classifierOnly.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false }) is { } useless)
                    throw new ArgumentException($"{useless.Name} is for classifiers and cannot be given with --task super-resolution. Leave it out.");
                if (parsed.GetResult(data) is not { Implicit: false }) throw new ArgumentException("--task super-resolution needs a folder of PNG pictures. Give it with --data.");
                using var trained = parsed.GetValue(from) is { } file ? SuperResolutionRun.LoadStart(file, where) : null;
                string architecture = parsed.GetResult(model) is { Implicit: false } ? parsed.GetValue(model)! : trained?.Spec.Architecture ?? "sesr_m5_x2";
                double features = parsed.GetResult(width) is { Implicit: false } ? parsed.GetValue(width) : trained?.Spec.Width ?? 1;
                string form = parsed.GetResult(method) is { Implicit: false } ? parsed.GetValue(method)! : SuperResolutionRun.UsualMethod;
                return SuperResolutionRun.Start(output, where, architecture, features, trained, net => SuperResolutionRun.MethodFor(net, form, parsed.GetValue(methodOptions) ?? []), parsed.GetValue(data)!, parsed.GetValue(limit),
                    scale => superResolution.Read(parsed, recipe, scale), parsed.GetValue(outFolder), parsed.GetValue(stopAfter), cancellation);
            }
            var reading = new RecipeReading(parsed, parsed.GetValue(recipeFile));
            var used = ReadRun(reading);
            string? start = used.From;
            DataInfo? info = null;
            using var initial = start == null ? null : ModelFile.Load(start, where, out info);
            var source = DataSource.Open(used.Data!, used.Limit, used.TestLimit, FolderOptions(used.Data!, used.ImageSize, start, initial?.Spec, info));
            used.Recipe.Validate();
            var how = Options.ReadMethod(used.Method!, parsed.GetValue(methodOptions), used.MethodOptions);
            var policy = Options.ReadLayers(used.Layers);
            var state = new RunState { Kind = "train", Data = used.Data!, Limit = used.Limit, TestLimit = used.TestLimit, KeepEpochs = parsed.GetValue(keepEpochs), Recipe = used.Recipe };
            var spec = Options.SpecFor(used.Model!, used.Width!.Value, source.Train);
            used = used with { Model = initial?.Spec.Architecture ?? used.Model, Width = initial?.Spec.Width ?? used.Width, MethodOptions = how?.Options };
            if (parsed.GetValue(saveRecipe) is { } save) used.Save(save);
            reading.Tell(output);
            string path = parsed.GetValue(outFolder) ?? Options.NewFolder("train");
            if (how is { NeedsTrainedModel: true } && start == null)
            {
                start = TrainBase(output, spec, how, policy, source, state, used with { Method = "none", MethodOptions = null, Layers = null }, path, parsed.GetValue(stopAfter), where, cancellation, out int code);
                if (start == null) return code;
            }
            using var begun = initial == null ? Begin() : null;
            var net = initial ?? begun!;
            if (how == null) return TrainingRun.Start(output, net, source, state, used, path, parsed.GetValue(stopAfter), cancellation, parsed.GetValue(tensorBoard));
            if (net.Forms.Count > 0) throw new ArgumentException($"{start} is in {net.Forms[^1].Method.Name} form already. Merge it first: refconv merge --from {start} --out merged.safetensors.");
            using var expanded = net.Expand(how, policy, used.Recipe.Seed);
            return TrainingRun.Start(output, expanded, source, state with { Kind = how.Name }, used, path, parsed.GetValue(stopAfter), cancellation, parsed.GetValue(tensorBoard));

            // What the command line and the recipe file say together: a recipe file again.
            RecipeFile ReadRun(RecipeReading reading)
            {
                string form = reading.Pick(method, f => f.Method);
                bool formOfFile = reading.File?.Method == form;
                string pictures = reading.PickData(data);
                return new RecipeFile
                {
                    Model = reading.Pick(model, f => f.Model),
                    Width = reading.Pick(width, f => f.Width),
                    ImageSize = reading.Pick(imageSize, f => pictures.StartsWith("imagefolder:", StringComparison.Ordinal) ? f.ImageSize : null),
                    From = reading.PickOptional(from, f => f.From),
                    Method = form,
                    MethodOptions = formOfFile ? reading.File!.MethodOptions : null,
                    Layers = formOfFile ? reading.File!.Layers : null,
                    Data = pictures,
                    Limit = reading.Pick(limit, f => f.Limit),
                    TestLimit = reading.Pick(testLimit, f => f.TestLimit),
                    Recipe = reading.Read(recipe),
                };
            }

            Model Begin() => start == null ? Zoo.Create(spec, new Initializer(where, used.Recipe.Seed)) : ModelFile.Load(start, where);
        });
        return command;
    }

    /// <summary>Trains the plain model that a method starts from, in a folder inside the run's.</summary>
    /// <returns>Its file; null where it was stopped before its end.</returns>
    private static string? TrainBase(Output output, ModelSpec spec, IReparameterization how, LayerPolicy? policy, DataSource source, RunState state, RecipeFile used, string path, int? stopAfter,
        Kernels.Device where, CancellationToken cancellation, out int code)
    {
        var folder = new RunFolder(Path.Combine(path, "base"));
        using var plain = Zoo.Create(spec, new Initializer(where, state.Recipe.Seed));
        // What would stop the second half is told before the first one is trained.
        new RunFolder(path).CheckFree();
        folder.CheckFree();
        plain.Expand(how, policy, state.Recipe.Seed).Dispose();
        output.Line($"{how.Name} starts from a trained model, and none is given with --from: a plain one is trained first, by the same recipe.");
        code = TrainingRun.Start(output, plain, source, state, used, folder.Path, stopAfter, cancellation);
        if (code == 0 && !(stopAfter < state.Recipe.Epochs)) return folder.LastFile;
        output.Line($"That is the plain model. When it is trained to its end, train its {how.Name} form: give this command again with --from {folder.LastFile} --out {path}");
        return null;
    }

    /// <summary>The input of the model that pictures of a folder are for: of the one to start from, or of one of the size asked for.</summary>
    private static ImageFolderOptions? FolderOptions(string data, int? size, string? from, ModelSpec? spec, DataInfo? info)
    {
        if (spec != null && data.StartsWith("imagefolder:", StringComparison.Ordinal))
        {
            if (size != null && size != spec.ImageSize) throw new ArgumentException($"--image-size is {size}, and {from} takes pictures of {spec.ImageSize}×{spec.ImageSize}. Leave it out.");
            return ImageFolderOptions.For(spec, info);
        }
        if (size == null) return null;
        if (!data.StartsWith("imagefolder:", StringComparison.Ordinal)) throw new ArgumentException($"--image-size is for imagefolder:DIR; the pictures of '{data}' have a size of their own.");
        if (size is < 1 or > 4096) throw new ArgumentException($"--image-size must be between 1 and 4096; it is {size}.");
        return new ImageFolderOptions(ImagePreprocessing.ForSize(size.Value));
    }
}

/// <summary>What <c>train</c> and <c>refocus</c> have in common once the model stands.</summary>
internal static class TrainingRun
{
    public static void CheckStop(int? stopAfter)
    {
        if (stopAfter is < 1) throw new ArgumentException($"--stop-after must be at least 1 epoch; it is {stopAfter}.");
    }

    public static int Start(Output output, Model model, DataSource data, RunState state, RecipeFile recipe, string? path, int? stopAfter, CancellationToken cancellation, string? tensorBoard = null)
    {
        path ??= Options.NewFolder(state.Kind);
        var folder = new RunFolder(path);
        using var trainer = new Trainer(model, data, state, folder);
        folder.Create();
        recipe.Save(folder.RecipeFile);
        output.Line($"{model.Spec}{string.Concat(model.Forms.Select(f => $", {f}"))}, {model.ParameterCount():N0} parameters; {data.Train}; {model.Device.Name}, {model.Device.Description}");
        return Go(output, trainer, folder, stopAfter, cancellation, tensorBoard);
    }

    public static int Go(Output output, Trainer trainer, RunFolder folder, int? stopAfter, CancellationToken cancellation, string? tensorBoard = null)
    {
        bool finished = TrainingView.Run(output, trainer.State.Kind, trainer, stopAfter, cancellation, tensorBoard: tensorBoard);
        var state = trainer.State;
        var last = state.History.LastOrDefault();
        if (!finished)
        {
            string step = state.StepInEpoch > 0 ? $" and {state.StepInEpoch} steps" : "";
            output.Line($"Stopped after {state.Epoch} of {state.Recipe.Epochs} epochs{step}; saved. Go on with: refconv train --resume {folder.Path}");
        }
        else if (last != null)
        {
            if (state.IsStoppedEarly) output.Line($"Stopped early: the last {state.Recipe.Patience} epochs were no better than the best.");
            output.Line($"Top-1 {Output.Text(100 * last.Accuracy, "0.00")} % (best epoch {Output.Text(100 * state.BestAccuracy, "0.00")} %). Model: {folder.LastFile}");
            output.Line(WhatNext(trainer.Model, folder, state));
        }
        output.Object(new JsonObject
        {
            ["accuracy"] = last?.Accuracy,
            ["top5"] = last?.Top5,
            ["bestAccuracy"] = state.History.Count > 0 ? state.BestAccuracy : null,
            ["testLoss"] = last?.TestLoss,
            ["epochs"] = state.Epoch,
            ["finished"] = finished,
            ["stoppedEarly"] = state.IsStoppedEarly,
            ["run"] = folder.Path,
            ["last"] = folder.LastFile,
            ["best"] = folder.BestFile,
        });
        return cancellation.IsCancellationRequested && !finished ? 130 : 0;
    }

    /// <summary>Why layers of a model stay in the form of a method; null where none has to.</summary>
    public static string? WhatStays(Model model) => model.NamedModules().Select(m => m.Module).OfType<IUnmergeable>().FirstOrDefault()?.Reason;

    private static string WhatNext(Model model, RunFolder folder, RunState state)
    {
        if (model.Forms.Count == 0) return $"Refocus it: refconv refocus --from {folder.LastFile} --data {state.Data}";
        bool merges = model.IsMergeable;
        string merge = $"Merge it: refconv merge --from {folder.LastFile} --out merged.safetensors";
        string[] stay = [.. model.Forms.Where(f => f.Method.Remainder != null).Select(f => f.ToString())];
        return stay.Length == 0 ? merge
            : merges ? $"{merge} (not all of it can be: something of {string.Join(", ", stay)} stays)"
            : $"It is used as it is: {string.Join(", ", stay)} stay, because {WhatStays(model)}.";
    }
}
