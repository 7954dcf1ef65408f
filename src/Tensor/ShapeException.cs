namespace RefConv;

/// <summary>Operands do not fit together. The message names the operation, the module, the shapes, and what to do.</summary>
/// <param name="message">The whole sentence.</param>
public sealed class ShapeException(string message) : ArgumentException(message);
