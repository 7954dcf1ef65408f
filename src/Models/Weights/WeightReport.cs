namespace RefConv.Models;

/// <summary>Which weights of a file are wanted.</summary>
public sealed record WeightRequest
{
    /// <summary>Missing or unexpected names are an error.</summary>
    public bool Strict { get; init; } = true;

    /// <summary>False leaves the last layer as it is.</summary>
    public bool Classifier { get; init; } = true;

    /// <summary>Where in the file they are: the keys before the model's own names, joined by dots. Null: wherever they are found.</summary>
    public string? Prefix { get; init; }
}

/// <summary>What was taken from a file of weights, and what was not.</summary>
/// <param name="Prefix">The keys before the model's own names; empty where there are none.</param>
/// <param name="Names">Whose names they are, where not the zoo's own.</param>
public sealed record WeightReport(string Prefix, string? Names)
{
    /// <summary>Other places under which the file has all weights of the model.</summary>
    public IReadOnlyList<string> NotTaken { get; init; } = [];

    /// <summary>Tensors that are no part of the model, those under one key together.</summary>
    public IReadOnlyList<string> LeftOut { get; init; } = [];

    /// <summary>Classes and functions that a PyTorch file names beside its weights.</summary>
    public IReadOnlyList<string> PassedOver { get; init; } = [];

    /// <summary>What else there is to say, a sentence each.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Names of files are other people's text: without line breaks and control characters.</summary>
    public static string Visible(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));
}
