using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Tests.Models;

/// <summary>Recipe files: their schema says what the records say, those that are shipped are good, and what is wrong with one is told.</summary>
public sealed class RecipeFilesTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Shipped => new(Directory.GetFiles(Folder(), "*.json").Select(Path.GetFileName).Where(n => n != "recipe.schema.json").Order(StringComparer.Ordinal)!);

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void TheSchemaAgreesWithTheRecords()
    {
        var schema = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder(), "recipe.schema.json")))!.AsObject();
        var recipe = schema["properties"]!["recipe"]!.AsObject();
        Agree(schema, RecipeFileJson.Default.RecipeFile);
        Agree(recipe, RecipeJson.Default.Recipe);
        Agree(schema["properties"]!["expected"]!.AsObject(), RecipeFileJson.Default.ExpectedResult);
        Agree(schema["properties"]!["ablation"]!.AsObject(), RecipeFileJson.Default.AblationPlan);
        Agree(schema["properties"]!["comparison"]!.AsObject(), RecipeFileJson.Default.ComparisonPlan);
        // The default of every setting, as a new recipe has it.
        var defaults = JsonSerializer.SerializeToNode(new Recipe(), RecipeJson.Default.Recipe)!.AsObject();
        foreach (var (name, value) in defaults)
            Assert.True(JsonNode.DeepEquals(value, recipe["properties"]![name]!["default"]), $"'{name}': the schema says {recipe["properties"]![name]!["default"]?.ToJsonString()}, the record {value?.ToJsonString()}");

        static void Agree(JsonObject schema, JsonTypeInfo type)
        {
            Assert.False(schema["additionalProperties"]!.GetValue<bool>());
            var properties = schema["properties"]!.AsObject();
            Assert.Equal(type.Properties.Select(p => p.Name).Order(StringComparer.Ordinal), properties.Select(p => p.Key).Order(StringComparer.Ordinal));
            foreach (var property in type.Properties)
            {
                var stated = properties[property.Name]!;
                var actual = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
                string expected = actual == typeof(bool) ? "boolean" : actual == typeof(double) ? "number" : actual == typeof(int) || actual == typeof(ulong) ? "integer"
                    : actual == typeof(string) || actual.IsEnum ? "string" : actual == typeof(IReadOnlyList<int>) || actual == typeof(IReadOnlyList<string>) ? "array" : "object";
                Assert.True(expected == stated["type"]!.GetValue<string>(), $"'{property.Name}' is {stated["type"]} in the schema, {expected} in the record");
                Assert.NotEqual("", stated["description"]!.GetValue<string>());
                if (!actual.IsEnum) continue;
                // As the values are written: the schema lists them, all of them and in order.
                string[] words = [.. Enum.GetValues(actual).Cast<object>().Select(v => JsonSerializer.SerializeToNode(v, actual, RecipeJson.Default)!.GetValue<string>())];
                Assert.Equal(words, stated["enum"]!.AsArray().Select(w => w!.GetValue<string>()));
                Assert.Equal(words, Enum.GetNames(actual).Select(n => n.ToLowerInvariant()));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Shipped))]
    public void WhatIsShippedIsGood(string name)
    {
        var file = RecipeFile.Load(Path.Combine(Folder(), name));
        Assert.Equal("recipe.schema.json", file.Schema);
        Assert.False(string.IsNullOrEmpty(file.Description));
        Assert.All(file.Ablation?.Models ?? [file.Model!], m => Assert.Contains(m, Zoo.Names));
        Assert.All(file.Ablation?.Rows ?? [], r => Assert.Contains(r, AblationTable.All.Select(a => a.Name)));
        Assert.All(file.Comparison?.Methods ?? [], m => Assert.Contains(m, Reparameterizations.Names));
        Assert.Contains(file.Data!, DataSource.KnownSpecs);
        if (file.Method is { } method)
        {
            // Every option is one that the method has, and has the value that it says.
            var options = Reparameterizations.Create(method, file.MethodOptions).Options;
            foreach (var (key, value) in file.MethodOptions ?? []) Assert.True(JsonNode.DeepEquals(value, options[key]), $"{key} is {options[key]?.ToJsonString()}");
        }
        Assert.False(string.IsNullOrEmpty(file.Expected!.Note));
        Assert.Equal(file.Expected.Accuracy == null, file.Expected.Tolerance == null);
        if (file is { Expected.Accuracy: null, Ablation: null, Comparison: null }) Assert.Contains("ot run here", file.Expected.Note);
        Assert.Contains($"({name})", File.ReadAllText(Path.Combine(Folder(), "README.md")));

        // Written and read again it is the same.
        file.Save(_folder.File("copy.json"));
        var copy = RecipeFile.Load(_folder.File("copy.json"));
        Assert.Equal(file.Recipe, copy.Recipe);
        copy.Save(_folder.File("again.json"));
        Assert.Equal(File.ReadAllText(_folder.File("copy.json")), File.ReadAllText(_folder.File("again.json")));
        foreach (var (key, value) in JsonNode.Parse(File.ReadAllText(Path.Combine(Folder(), name)))!.AsObject().Where(f => f.Key != "recipe"))
            Assert.True(JsonNode.DeepEquals(value, JsonNode.Parse(File.ReadAllText(_folder.File("copy.json")))![key]), $"'{key}' was lost");
    }

    [Fact]
    public void TheRecipeOfTheEvidenceMakesItsTables()
    {
        // The page names the recipe, and each of its tables has exactly the recipe's rows.
        string page = File.ReadAllText(Path.Combine(Folder(), "..", "results", "evidence.md"));
        Assert.Contains("refconv ablate --recipe docs/recipes/cifar10-ablation.json --data cifar10:DIR", page);
        var plan = RecipeFile.Load(Path.Combine(Folder(), "cifar10-ablation.json")).Ablation!;
        string[] tables = [.. page.Split("## The ablation")[1].Split("\n## ")[0].Split("\n### ")[1..]];
        Assert.Equal(plan.Models!.Count, tables.Length);
        foreach (string table in tables)
        {
            string[] rows = [.. table.Split('\n').Where(l => l.StartsWith("| ", StringComparison.Ordinal)).Select(l => l.Split('|')[1].Trim())];
            Assert.Equal(AblationTable.Chosen(plan.Rows!).Select(r => r.Name), rows[2..]); // behind the titles and the line below them
        }
        Assert.Contains($"{"one two three four five".Split(' ')[plan.Seeds!.Value - 1]} seeds", page);
    }

    [Fact]
    public void ThePublishedRecipeIsThere()
    {
        // 105 epochs: 5 of warm-up from 5e-6 of the rate, 100 of cosine down to 5e-7; batch 256; the same weight decay for everything.
        var recipe = RecipeFile.Load(Path.Combine(Folder(), "imagenet-refconv.json")).Recipe;
        Assert.Equal(new Recipe { Epochs = 105, BatchSize = 256, LearningRate = 0.1, WarmupEpochs = 5, MinimumLearningRate = 5e-7, Momentum = 0.9, WeightDecay = 4e-5, NormWeightDecay = 4e-5, Seed = 42 }, recipe);
        const long Steps = 1_281_167 / 256;
        var schedule = recipe.MakeSchedule(Steps);
        Assert.Equal(0.1 * 5e-6, schedule.At(0), 1e-15);
        Assert.Equal(0.1, schedule.At(5 * Steps), 1e-15);
        Assert.Equal(5e-7, schedule.At(105 * Steps), 1e-15);
    }

    [Theory]
    [InlineData("shapes-sgd.json")]
    [InlineData("shapes-helpers.json")]
    public void TheQuickOnesGiveWhatTheySay(string name)
    {
        var file = RecipeFile.Load(Path.Combine(Folder(), name));
        var data = DataSource.Open(file.Data!, file.Limit, file.TestLimit);
        using var model = Zoo.Create(new ModelSpec(file.Model!) { Classes = 10, Width = file.Width ?? 1, ImageSize = 32, SmallImages = true }, new Initializer(Cpu, file.Recipe.Seed));
        using var trainer = new Trainer(model, data, new RunState { Data = file.Data!, Recipe = file.Recipe });
        Assert.True(trainer.Run());
        double accuracy = trainer.State.History[^1].Accuracy;
        Assert.True(Math.Abs(accuracy - file.Expected!.Accuracy!.Value) <= file.Expected.Tolerance, $"accuracy {accuracy}, expected {file.Expected.Accuracy} ± {file.Expected.Tolerance}");
        Assert.True(file.Expected.Accuracy - file.Expected.Tolerance > 0.15, "a band that reaches down to chance says nothing");
    }

    [Theory]
    [InlineData("""{"recipe":{"epoch":3}}""", "there is no field 'recipe.epoch'. Did you mean 'epochs'?")]
    [InlineData("""{"modle":"resnet18"}""", "there is no field 'modle'. Did you mean 'model'?")]
    [InlineData("""{"epochs":3}""", "there is no field 'epochs'. It belongs into 'recipe'.")]
    [InlineData("""{"recipe":{"width":1}}""", "there is no field 'recipe.width'. It belongs beside 'recipe'")]
    [InlineData("""{"expected":{"acuracy":1}}""", "there is no field 'expected.acuracy'. Did you mean 'accuracy'?")]
    [InlineData("""{"recipe":{"epochs":"three"}}""", "'recipe.epochs' must be a whole number; it is \"three\"")]
    [InlineData("""{"recipe":{"epochs":3.5}}""", "'recipe.epochs' must be a whole number; it is 3.5")]
    [InlineData("""{"recipe":{"epochs":99999999999}}""", "'recipe.epochs' must be a whole number")]
    [InlineData("""{"recipe":{"learningRate":true}}""", "'recipe.learningRate' must be a number; it is true")]
    [InlineData("""{"recipe":{"learningRate":null}}""", "'recipe.learningRate' must be a number; it is null")]
    [InlineData("""{"recipe":{"optimizer":"sdg"}}""", "'recipe.optimizer' must be one of \"sgd\", \"adam\", \"adamw\"; it is \"sdg\"")]
    [InlineData("""{"recipe":{"optimizer":0}}""", "must be one of")]
    [InlineData("""{"recipe":{"schedule":"Cosine"}}""", "must be one of \"cosine\"")]
    [InlineData("""{"recipe":{"milestones":[1,"2"]}}""", "'recipe.milestones' must be a list of whole numbers in brackets")]
    [InlineData("""{"recipe":{"milestones":null}}""", "must be a list of whole numbers")]
    [InlineData("""{"recipe":{"seed":-1}}""", "'recipe.seed' must be a whole number not below 0")]
    [InlineData("""{"recipe":{"nesterov":1}}""", "must be true or false")]
    [InlineData("""{"recipe":{"epochs":0}}""", "The number of epochs must be at least 1; it is 0")]
    [InlineData("""{"recipe":[]}""", "'recipe' must be an object in braces")]
    [InlineData("""{"recipe":null}""", "'recipe' must be an object in braces")]
    [InlineData("""{"seeds":3}""", "there is no field 'seeds'. It belongs into 'ablation' or 'comparison'.")]
    [InlineData("""{"rows":["refconv"]}""", "there is no field 'rows'. It belongs into 'ablation'.")]
    [InlineData("""{"ablation":{"row":["refconv"]}}""", "there is no field 'ablation.row'. Did you mean 'rows'?")]
    [InlineData("""{"ablation":{"rows":"refconv"}}""", "'ablation.rows' must be a list of texts in brackets")]
    [InlineData("""{"ablation":{"models":["resnet18",18]}}""", "'ablation.models' must be a list of texts in brackets")]
    [InlineData("""{"ablation":{"models":[]}}""", "'ablation.models' names no architecture")]
    [InlineData("""{"ablation":{"seeds":0}}""", "'ablation.seeds' must be at least 1; it is 0")]
    [InlineData("""{"ablation":{"baseEpochs":0}}""", "'ablation.baseEpochs' must be at least 1; it is 0")]
    [InlineData("""{"ablation":{"finetuneLearningRate":0}}""", "'ablation.finetuneLearningRate' must be above 0; it is 0")]
    [InlineData("""{"ablation":[]}""", "'ablation' must be an object in braces")]
    [InlineData("""{"model":"resnet18","ablation":{"models":["resnet18"]}}""", "both name what is trained. Leave one of them out")]
    [InlineData("""{"ablation":{},"comparison":{}}""", "tables of different commands")]
    [InlineData("""{"comparison":{"seeds":0}}""", "'comparison.seeds' must be at least 1; it is 0")]
    [InlineData("""{"comparison":{"methods":[]}}""", "'comparison.methods' names no method")]
    [InlineData("""{"comparison":{"methodOptions":{"acb":3}}}""", "'comparison.methodOptions.acb' must be an object in braces")]
    [InlineData("""{"methodOptions":3}""", "'methodOptions' must be an object in braces")]
    [InlineData("""{"model":7}""", "'model' must be a text in quotes")]
    [InlineData("""[]""", "a recipe must be an object in braces")]
    [InlineData("""null""", "a recipe must be an object in braces")]
    [InlineData("""{"model":"a","model":"b"}""", "this is no JSON")]
    [InlineData("""{"model":""", "this is no JSON")]
    [InlineData("", "this is no JSON")]
    public void WhatIsWrongWithAFileIsTold(string text, string message)
    {
        string path = _folder.Write("recipe.json", System.Text.Encoding.UTF8.GetBytes(text));
        string found = Assert.Throws<FileFormatException>(() => RecipeFile.Load(path)).Message;
        Assert.Contains(message, found);
        Assert.StartsWith(path, found);
    }

    [Fact]
    public void WhatIsLeftOutHasItsDefault()
    {
        var file = RecipeFile.Load(_folder.Write("recipe.json", """{"recipe":{"optimizer":"adamw","milestones":[]}}"""u8));
        Assert.Equal(new RecipeFile { Recipe = new Recipe { Optimizer = OptimizerKind.AdamW } }, file);
        Assert.Equal(new RecipeFile(), RecipeFile.Load(_folder.Write("empty.json", "{}"u8)));
    }

    private static string Folder()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder != null && !File.Exists(Path.Combine(folder, "docs", "architecture.md"))) folder = Path.GetDirectoryName(folder);
        return Path.Combine(folder ?? throw new DirectoryNotFoundException("The repository's docs folder is not above the tests."), "docs", "recipes");
    }
}
