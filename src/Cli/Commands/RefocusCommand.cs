using System.CommandLine;
using RefConv.IO;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv refocus</c>: trains the RefConv of a trained model.</summary>
internal static class RefocusCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("refocus", "Freeze the k×k kernels of a trained model and train refocusing weights on them.");
        Option<string> from = new("--from") { Description = "The trained model.", Required = true, HelpName = "FILE" };
        Option<string> data = Options.Data(), init = Options.RefocusInitialisation();
        Option<int?> limit = Options.Limit(), testLimit = Options.TestLimit();
        Option<int> mapK = Options.MapK();
        Option<string> layers = Options.Layers("k3");
        Option<bool> noShortcut = new("--no-shortcut") { Description = "Ablation: use refocus(W) alone as the kernel." };
        Option<bool> trainBase = new("--train-base") { Description = "Ablation: train the basis as well." };
        Option<bool> randomBase = new("--random-base") { Description = "Ablation: start from a random basis." };
        Option<int?> stopAfter = new("--stop-after") { Description = "Stop when so many epochs are done; go on later with train --resume.", HelpName = "EPOCHS" };
        Option<bool> json = Options.Json(), keepEpochs = Options.KeepEpochs();
        Option<string?> outFolder = Options.Out("Folder for the checkpoints. Default: a new folder runs/refocus-N."), tensorBoard = Options.TensorBoard();
        Option<string?> recipeFile = RecipeOptions.File();
        foreach (var option in (ReadOnlySpan<Option>)[from, recipeFile, data, limit, testLimit, mapK, init, layers, noShortcut, trainBase, randomBase]) command.Add(option);
        var recipe = new RecipeOptions(command, epochs: 12);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[stopAfter, keepEpochs, outFolder, tensorBoard, json]) command.Add(option);

        command.SetAction(parsed =>
        {
            var options = new RefConvOptions
            {
                MapK = parsed.GetValue(mapK),
                Init = Options.ParseInit(parsed.GetValue(init)!),
                Shortcut = !parsed.GetValue(noShortcut),
                BaseTrainable = parsed.GetValue(trainBase),
                BaseRandom = parsed.GetValue(randomBase),
            };
            var method = new RefConvMethod(options);
            var output = new Output(parsed.GetValue(json));
            var reading = new RecipeReading(parsed, parsed.GetValue(recipeFile));
            reading.RefuseTables();
            if (reading.File?.Method is { } other && other is not ("none" or "refconv")) throw new ArgumentException($"The recipe is for the method {other}. Train it with: refconv train --recipe {parsed.GetValue(recipeFile)} --from FILE.");
            var settings = reading.Read(recipe);
            settings.Validate();
            string pictures = reading.PickData(data);
            int? trainLimit = reading.Pick(limit, f => f.Limit), otherLimit = reading.Pick(testLimit, f => f.TestLimit);
            TrainingRun.CheckStop(parsed.GetValue(stopAfter));
            using var where = device.Open(parsed);
            string file = parsed.GetValue(from)!;
            using var model = ModelFile.Load(file, where, out var info);
            if (model.Forms.Count > 0) throw new FileFormatException(file, $"this model is in {model.Forms[^1].Method.Name} form already. Merge it first: refconv merge --from {file} --out merged.safetensors.");
            var source = DataSource.Open(pictures, trainLimit, otherLimit, ImageFolderOptions.For(model.Spec, info));
            using var refocused = model.Expand(method, Options.ReadLayers(parsed.GetValue(layers)), settings.Seed);
            var state = new RunState { Kind = "refocus", Data = pictures, Limit = trainLimit, TestLimit = otherLimit, KeepEpochs = parsed.GetValue(keepEpochs), Recipe = settings };
            var used = new RecipeFile
            {
                Model = model.Spec.Architecture, Width = model.Spec.Width, From = file, Method = method.Name, MethodOptions = method.Options, Layers = parsed.GetValue(layers),
                Data = pictures, Limit = trainLimit, TestLimit = otherLimit, Recipe = settings,
            };
            reading.Tell(output);
            return TrainingRun.Start(output, refocused, source, state, used, parsed.GetValue(outFolder), parsed.GetValue(stopAfter), cancellation, parsed.GetValue(tensorBoard));
        });
        return command;
    }
}
