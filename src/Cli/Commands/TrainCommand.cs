using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv train</c>: trains a plain model, or goes on with any run.</summary>
internal static class TrainCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("train", "Train a model from scratch, or go on with a run that was stopped (--resume).");
        Option<int?> stopAfter = new("--stop-after") { Description = "Stop when so many epochs of the recipe are done; go on later with --resume.", HelpName = "EPOCHS" };
        Option<string?> resume = new("--resume") { Description = "Go on with the run in this folder; recipe and data are read from it.", HelpName = "RUN" };
        Option<bool> json = Options.Json(), keepEpochs = Options.KeepEpochs();
        Option<string?> outFolder = Options.Out("Folder for the checkpoints. Default: a new folder runs/train-N."), tensorBoard = Options.TensorBoard();
        Option<int?> testLimit = Options.TestLimit();
        Option<string?> saveRecipe = new("--save-recipe") { Description = "Write the recipe of this run to a file, too. Default: recipe.json in the folder of the run.", HelpName = "FILE" };
        var start = new StartOptions();
        foreach (var option in (ReadOnlySpan<Option>)[.. start.All, testLimit, saveRecipe]) command.Add(option);
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
                Option[] classifierOnly = [.. recipe.ClassifierOnly, start.RecipeFile, saveRecipe, testLimit, start.ImageSize, keepEpochs, tensorBoard];
                if (classifierOnly.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false }) is { } useless)
                    throw new ArgumentException($"{useless.Name} is for classifiers and cannot be given with --task super-resolution. Leave it out.");
                if (parsed.GetResult(start.Data) is not { Implicit: false }) throw new ArgumentException("--task super-resolution needs a folder of PNG pictures. Give it with --data.");
                using var trained = parsed.GetValue(start.From) is { } file ? SuperResolutionRun.LoadStart(file, where) : null;
                string architecture = parsed.GetResult(start.Model) is { Implicit: false } ? parsed.GetValue(start.Model)! : trained?.Spec.Architecture ?? "sesr_m5_x2";
                double features = parsed.GetResult(start.Width) is { Implicit: false } ? parsed.GetValue(start.Width) : trained?.Spec.Width ?? 1;
                string form = parsed.GetResult(start.Method) is { Implicit: false } ? parsed.GetValue(start.Method)! : SuperResolutionRun.UsualMethod;
                return SuperResolutionRun.Start(output, where, architecture, features, trained, net => SuperResolutionRun.MethodFor(net, form, parsed.GetValue(start.MethodOptions) ?? []), parsed.GetValue(start.Data)!, parsed.GetValue(start.Limit),
                    scale => superResolution.Read(parsed, recipe, scale), parsed.GetValue(outFolder), parsed.GetValue(stopAfter), cancellation);
            }
            var reading = new RecipeReading(parsed, parsed.GetValue(start.RecipeFile));
            var used = start.Read(reading, recipe) with { TestLimit = reading.Pick(testLimit, f => f.TestLimit) };
            using var begin = start.Open(parsed, used, where);
            used = used with { Model = begin.Spec.Architecture, Width = begin.Spec.Width, MethodOptions = begin.How?.Options };
            if (parsed.GetValue(saveRecipe) is { } save) used.Save(save);
            reading.Tell(output);
            var state = new RunState { Kind = "train", Data = used.Data!, Limit = used.Limit, TestLimit = used.TestLimit, KeepEpochs = parsed.GetValue(keepEpochs), Recipe = used.Recipe };
            return Train(output, begin, state, used, parsed.GetValue(outFolder) ?? Options.NewFolder("train"), parsed.GetValue(stopAfter), where, cancellation, parsed.GetValue(tensorBoard));
        });
        return command;
    }

    /// <summary>Trains in the form that is asked for; before that a plain model, where that form starts from a trained one and there is none.</summary>
    private static int Train(Output output, Start begin, RunState state, RecipeFile used, string path, int? stopAfter, Kernels.Device where, CancellationToken cancellation, string? tensorBoard)
    {
        string? from = used.From;
        var (how, source) = (begin.How, begin.Source);
        if (how is { NeedsTrainedModel: true } && from == null)
        {
            from = TrainBase(output, begin.Spec, how, begin.Policy, source, state, used with { Method = "none", MethodOptions = null, Layers = null }, path, stopAfter, where, cancellation, out int code);
            if (from == null) return code;
        }
        using var net = from != null && begin.Trained == null ? ModelFile.Load(from, where) : begin.Begin(where, used.Recipe.Seed);
        if (how == null) return TrainingRun.Start(output, net, source, state, used, path, stopAfter, cancellation, tensorBoard);
        if (net.Forms.Count > 0) throw new ArgumentException($"{from} is in {net.Forms[^1].Method.Name} form already. Merge it first: refconv merge --from {from} --out merged.safetensors.");
        using var expanded = net.Expand(how, begin.Policy, used.Recipe.Seed);
        return TrainingRun.Start(output, expanded, source, state with { Kind = how.Name }, used, path, stopAfter, cancellation, tensorBoard);
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
